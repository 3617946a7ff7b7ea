"""The environment collector, which gives every environment the connect-* scripts."""

from __future__ import annotations

import shlex
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from hatch_connect.commands import COMMANDS
from hatch_connect.process import RUN_BY

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_OWN_ENVIRONMENT = "connect"


def scripts(root: Path, *, prefix: str) -> dict[str, str]:
    """Return a script for each command, for Hatch's own interpreter.

    The project is named, because `hatch -p PROJECT run` leaves the working directory alone. `-P`
    keeps modules in the working directory from standing in for ours. Braces are doubled, since
    Hatch formats scripts. A shell that traps Ctrl-C waits for us and passes our exit code on; its
    parent is Hatch, which does not pass SIGTERM on.
    """
    run_by = "" if sys.platform == "win32" else f"trap : INT; {RUN_BY}=$PPID "
    python, project = _quote(sys.executable), _quote(str(root))
    return {
        f"{prefix}{command.name}": f"{run_by}{python} -P -m hatch_connect {command.name}"
        + (f" --directory {project}" if any(o.key == "directory" for o in command.options) else "")
        + " {args}"
        for command in COMMANDS.values()
    }


def _quote(text: str) -> str:
    quoted = subprocess.list2cmdline([text]) if sys.platform == "win32" else shlex.quote(text)
    return quoted.replace("{", "{{").replace("}", "}}")


def add_scripts(
    environments: dict[str, dict[str, Any]], root: Path, *, internal: Collection[str]
) -> None:
    """Add the scripts to every environment that is the project's own.

    `internal` are Hatch's own environments, those of a matrix by the name before the dot. A
    script that the project already has under that name stays.
    """
    for name, environment in environments.items():
        if name in internal or name.partition(".")[0] in internal:
            continue
        own = environment.setdefault("scripts", {})
        for script, command in scripts(root, prefix="connect-").items():
            own.setdefault(script, command)


def connect_environment(root: Path) -> dict[str, Any]:
    """Return the environment that has nothing installed: `hatch run connect:deploy` starts fast."""
    return {"detached": True, "skip-install": True, "scripts": scripts(root, prefix="")}


@cache
def collector_class() -> type[Any]:
    """Make the collector's class, which needs Hatch itself."""
    from hatch.env.collectors.plugin.interface import EnvironmentCollectorInterface
    from hatch.env.internal import get_internal_env_config

    class ConnectEnvironmentCollector(EnvironmentCollectorInterface):
        """Adds the scripts, if the project has a table [tool.hatch.env.collectors.connect]."""

        PLUGIN_NAME = "connect"

        def get_initial_config(self) -> dict[str, dict[str, Any]]:
            return {_OWN_ENVIRONMENT: connect_environment(self.root)}

        def finalize_environments(self, config: dict[str, dict[str, Any]]) -> None:
            add_scripts(config, self.root, internal={*get_internal_env_config(), "system"})

    return ConnectEnvironmentCollector
