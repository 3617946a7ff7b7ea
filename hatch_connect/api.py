"""The Python interface: the names of `from hatch_connect import ...`.

It is stable: these names and the fields of these values do not change, others may be added.
Functions raise `HatchConnectError` or a subclass (see `hatch_connect.errors`), print nothing, and
read the process's environment only as the default of `environ`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar, Unpack

from hatch_connect.bundle.build import build as run_build
from hatch_connect.bundle.build_protocol import BuildRequest, Built
from hatch_connect.bundle.bundle import Bundle
from hatch_connect.commands.call import Call, Surroundings
from hatch_connect.commands.deploy import run_deploy, run_plan
from hatch_connect.commands.preview import Preview, Previewed, run_preview
from hatch_connect.commands.promote import run_promote
from hatch_connect.commands.prune import run_prune
from hatch_connect.commands.result import Deployed, Planned, Removed, Result
from hatch_connect.commands.server import chosen_server
from hatch_connect.connect.client import ConnectClient
from hatch_connect.connect.credentials import ApiKey
from hatch_connect.connect.resources import (
    BundleInfo,
    Content,
    Diagnosis,
    Job,
    LogEntry,
    ServerSettings,
    TaskStatus,
    User,
)
from hatch_connect.connect.servers import Server, server_url
from hatch_connect.errors import (
    AnswerError,
    BuildError,
    BundleError,
    ConfigurationError,
    ContentError,
    DeploymentFailedError,
    HatchConnectError,
    InterpreterError,
    LockError,
    NotAnsweringError,
    NotFoundError,
    ProjectError,
    PythonVersionError,
    RefusedError,
    ServerError,
    StoreError,
    UnreachableError,
    UsageError,
)
from hatch_connect.events import Report, silent
from hatch_connect.options import Options
from hatch_connect.project.declared import DeclaredSettings
from hatch_connect.project.project import ProjectConfig, read_project
from hatch_connect.project.reading import find_root
from hatch_connect.secret import Secret
from hatch_connect.ship.compare import Change, Comparison
from hatch_connect.ship.declared import SettingChange
from hatch_connect.ship.state import Deployment

__all__ = [
    "AnswerError",
    "BuildError",
    "Built",
    "Bundle",
    "BundleError",
    "BundleInfo",
    "Change",
    "Comparison",
    "ConfigurationError",
    "ConnectClient",
    "Content",
    "ContentError",
    "DeclaredSettings",
    "Deployment",
    "DeploymentFailedError",
    "Diagnosis",
    "HatchConnectError",
    "InterpreterError",
    "Job",
    "LockError",
    "LogEntry",
    "NotAnsweringError",
    "NotFoundError",
    "Preview",
    "ProjectConfig",
    "ProjectError",
    "PythonVersionError",
    "RefusedError",
    "Report",
    "Secret",
    "Server",
    "ServerError",
    "ServerSettings",
    "SettingChange",
    "StoreError",
    "TaskStatus",
    "UnreachableError",
    "UsageError",
    "User",
    "build",
    "client",
    "configuration",
    "deploy",
    "find_server",
    "plan",
    "preview",
    "promote",
    "prune",
    "remove_preview",
]


class PromoteOptions(TypedDict, total=False):
    """Options of `promote`, as on the command line."""

    content: str
    app_id: str
    new: bool
    title: str
    environment: Mapping[str, str | Secret]
    draft: bool
    no_verify: bool
    allow_removals: bool
    metadata: Mapping[str, str]
    force: bool


class DeployOptions(PromoteOptions, total=False):
    """Options of `deploy`: those of `promote`, and a bundle."""

    file: str | Path


class PruneOptions(TypedDict, total=False):
    """Options of `prune`, as on the command line."""

    content: str
    app_id: str
    drafts: bool
    bundles: bool
    older_than: str
    keep: int
    any: bool


class PreviewOptions(TypedDict, total=False):
    """Options of `preview`, as on the command line."""

    content: str
    app_id: str
    branch: str
    no_verify: bool


_T = TypeVar("_T")
_Given: TypeAlias = PromoteOptions | PruneOptions | PreviewOptions


def configuration(
    directory: Path | str = ".", *, content: str | None = None, on: str | None = None
) -> ProjectConfig:
    """Read the project in, or above, a folder; `content` and `on` name tables of it."""
    return read_project(find_root(Path(directory))).content(content, on=on)


def build(
    directory: Path | str = ".",
    *,
    contents: tuple[str, ...] = (),
    environ: Mapping[str, str] | None = None,
    report: Report = silent,
) -> tuple[Built, ...]:
    """Build the project's bundles into dist/connect/, offline; `contents` limits them."""
    project = read_project(find_root(Path(directory)))
    if unknown := set(contents) - set(project.content_tables):
        raise UsageError(
            f"There is no content `{min(unknown)}` in {project.root / 'pyproject.toml'}.",
            hint="Its table is [tool.hatch-connect.content.NAME].",
        )
    requests = [BuildRequest(config=project.content(name)) for name in contents or (None,)]
    return tuple(run_build(request, _environ(environ), report) for request in requests)


def find_server(
    name: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    report: Report = silent,
) -> Server:
    """Return the saved server of that nickname, else CONNECT_SERVER, else the default server."""
    with chosen_server(_call(Options(name=name), ".", environ, report), None) as server:
        return server


def client(
    server: Server | str,
    api_key: Secret | str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    report: Report = silent,
) -> ConnectClient:
    """Return a client for a server: a `Server`, or a URL with its API key."""
    if isinstance(server, str):
        key = Secret(api_key) if isinstance(api_key, str) else api_key
        credential = ApiKey(key) if key else None
        server = Server(url=server_url(server), credential=credential, source="the call")
    return ConnectClient(server, environ=_environ(environ), report=report)


def deploy(
    directory: Path | str = ".",
    *,
    server: Server | str | None = None,
    api_key: Secret | str | None = None,
    environ: Mapping[str, str] | None = None,
    report: Report = silent,
    **options: Unpack[DeployOptions],
) -> Deployment:
    """Build and deploy one piece of content, as the command `deploy` does.

    `server` is a `Server`, a URL or a nickname; without one it is chosen as at the command line.
    `app_id` is the content's GUID, number or URL.
    """
    with _deployment((directory, server, api_key), environ, report, options) as call:
        return _only(run_deploy(call), Deployed).deployment


def promote(
    directory: Path | str = ".",
    *,
    from_server: str,
    to_server: str,
    environ: Mapping[str, str] | None = None,
    report: Report = silent,
    **options: Unpack[PromoteOptions],
) -> Deployment:
    """Deploy the bundle that is active on one server to another, as the command `promote` does.

    Each is a nickname, a URL or `local`. Keys are those of saved servers, or CONNECT_API_KEY in
    `environ` for CONNECT_SERVER.
    """
    given = Options(from_server=from_server, to_server=to_server, **_options(options))
    return _only(run_promote(_call(given, directory, environ, report)), Deployed).deployment


def prune(
    directory: Path | str = ".",
    *,
    server: Server | str | None = None,
    api_key: Secret | str | None = None,
    environ: Mapping[str, str] | None = None,
    report: Report = silent,
    **options: Unpack[PruneOptions],
) -> tuple[str, ...]:
    """Remove old drafts and bundles, as the command `prune` does with `--yes`; return their ids."""
    with _deployment((directory, server, api_key), environ, report, options) as call:
        result = run_prune(replace(call, options=replace(call.options, yes=True)))
        return _only(result, Removed).removed


def preview(
    directory: Path | str = ".",
    *,
    server: Server | str | None = None,
    api_key: Secret | str | None = None,
    environ: Mapping[str, str] | None = None,
    report: Report = silent,
    **options: Unpack[PreviewOptions],
) -> Preview:
    """Deploy a draft for a branch, replacing its earlier one, as the command `preview` does.

    `branch` defaults to the branch of the CI job, or of the git checkout.
    """
    with _deployment((directory, server, api_key), environ, report, options) as call:
        return _only(run_preview(call), Previewed).preview


def remove_preview(
    directory: Path | str = ".",
    *,
    server: Server | str | None = None,
    api_key: Secret | str | None = None,
    environ: Mapping[str, str] | None = None,
    report: Report = silent,
    **options: Unpack[PreviewOptions],
) -> tuple[str, ...]:
    """Remove the preview of a branch, as `preview --remove` does; return the ids of its bundles."""
    with _deployment((directory, server, api_key), environ, report, options) as call:
        result = run_preview(replace(call, options=replace(call.options, remove_preview=True)))
        return _only(result, Removed).removed


def plan(
    directory: Path | str = ".",
    *,
    server: Server | str | None = None,
    api_key: Secret | str | None = None,
    check: bool = False,
    environ: Mapping[str, str] | None = None,
    report: Report = silent,
    **options: Unpack[DeployOptions],
) -> Comparison:
    """Compare one piece of content with what is deployed, and change nothing, as `plan` does.

    With `check`, a variable that is set nowhere is a difference instead of an error, and the
    packages installed on the server are compared too.
    """
    with _deployment((directory, server, api_key), environ, report, options) as call:
        result = run_plan(replace(call, options=replace(call.options, check=check)))
        if comparison := _only(result, Planned).comparison:
            return comparison
    raise AssertionError("a dry run compares")


def _only(result: Result, kind: type[_T]) -> _T:
    """Return the result of a call about one piece of content, as of its kind."""
    if isinstance(result, kind):
        return result
    raise UsageError("The project has several pieces of content.", hint="Name one: content=...")


@contextmanager
def _deployment(
    where: tuple[Path | str, Server | str | None, Secret | str | None],
    environ: Mapping[str, str] | None,
    report: Report,
    options: _Given,
) -> Iterator[Call]:
    """Yield a call about one piece of content: the project, the server and its key are `where`."""
    directory, server, api_key = where
    with TemporaryDirectory(prefix="hatch-connect-") as folder:
        given = Options(**_server_options(server, api_key, Path(folder)), **_options(options))
        told = _environ(environ) | (_headers_of(server) if isinstance(server, Server) else {})
        yield _call(given, directory, told, report)


def _call(
    options: Options, directory: Path | str, environ: Mapping[str, str] | None, report: Report
) -> Call:
    """Return a call of a command by this process; nobody sits at a terminal."""
    surroundings = Surroundings(
        environ=_environ(environ),
        directory=Path(directory).absolute(),
        interpreter=Path(sys.executable),
        now=time.monotonic,
        today=partial(datetime.now, UTC),
        sleep=time.sleep,
    )
    return Call.of(options, surroundings, report)


def _server_options(
    server: Server | str | None, api_key: Secret | str | None, folder: Path
) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if isinstance(server, Server):
        given = {"server": server.url, "insecure": server.insecure}
        if isinstance(server.credential, ApiKey):
            given["api_key"] = server.credential.key
        if server.ca_cert:
            # Options name certificates by their file, as a command line does.
            path = folder / "ca.pem"
            path.write_text(server.ca_cert, encoding="utf-8")
            given["cacert"] = str(path)
    elif server:
        given = {"server" if "://" in server else "name": server}
    if api_key:
        given["api_key"] = Secret(api_key) if isinstance(api_key, str) else api_key
    return given


def _headers_of(server: Server) -> dict[str, str]:
    """Return the environment that names the headers of a server: no option does."""
    lines = [f"{name}: {value.reveal()}" for name, value in server.headers]
    return {"CONNECT_SERVER": server.url, "CONNECT_HTTP_HEADERS": "\n".join(lines)} if lines else {}


def _options(given: _Given) -> dict[str, Any]:
    """Translate to the command's options, whose values are those of a command line."""
    options: dict[str, Any] = dict(given)
    if "file" in options:
        options["file"] = (str(Path(options["file"]).absolute()),)
    if "content" in given:
        options["content"] = (given["content"],)
    values = {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in _mapping(given, "environment").items()
    }
    options["environment"] = tuple(Secret(f"{name}={value}") for name, value in values.items())
    options["metadata"] = tuple(f"{k}={v}" for k, v in _mapping(given, "metadata").items())
    return options


def _mapping(given: _Given, key: Literal["environment", "metadata"]) -> Mapping[str, Any]:
    value: object = given.get(key, {})
    if not isinstance(value, Mapping):
        raise UsageError(
            f"`{key}` must be a mapping of names to values, not {type(value).__name__}.",
            hint=f'Write it as a dictionary: {key}={{"NAME": "value"}}',
        )
    return value


def _environ(given: Mapping[str, str] | None) -> dict[str, str]:
    return dict(os.environ if given is None else given)
