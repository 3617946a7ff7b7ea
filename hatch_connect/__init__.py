"""Ship a Hatch project to Posit Connect from the build it already has.

For programs: `from hatch_connect import deploy, build, client, ...` (see `hatch_connect.api`).
Nothing of it is imported before it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatch_connect.api import (
        AnswerError,
        BuildError,
        Built,
        Bundle,
        BundleError,
        BundleInfo,
        ConfigurationError,
        ConnectClient,
        Content,
        ContentError,
        Deployment,
        DeploymentFailedError,
        HatchConnectError,
        InterpreterError,
        LockError,
        NotAnsweringError,
        NotFoundError,
        ProjectConfig,
        ProjectError,
        PythonVersionError,
        RefusedError,
        Report,
        Secret,
        Server,
        ServerError,
        ServerSettings,
        StoreError,
        TaskStatus,
        UnreachableError,
        UsageError,
        User,
        build,
        client,
        configuration,
        deploy,
        find_server,
    )

__version__ = "0.1.0"

__all__ = [
    "AnswerError",
    "BuildError",
    "Built",
    "Bundle",
    "BundleError",
    "BundleInfo",
    "ConfigurationError",
    "ConnectClient",
    "Content",
    "ContentError",
    "Deployment",
    "DeploymentFailedError",
    "HatchConnectError",
    "InterpreterError",
    "LockError",
    "NotAnsweringError",
    "NotFoundError",
    "ProjectConfig",
    "ProjectError",
    "PythonVersionError",
    "RefusedError",
    "Report",
    "Secret",
    "Server",
    "ServerError",
    "ServerSettings",
    "StoreError",
    "TaskStatus",
    "UnreachableError",
    "UsageError",
    "User",
    "__version__",
    "build",
    "client",
    "configuration",
    "deploy",
    "find_server",
]


if not TYPE_CHECKING:  # a type checker knows the names; any other is an error to it

    def __getattr__(name: str) -> object:
        """Import the interface when a name of it is asked for."""
        if name in __all__:
            from importlib import import_module

            return getattr(import_module("hatch_connect.api"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
