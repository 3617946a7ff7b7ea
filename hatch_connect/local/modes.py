"""The kinds of content, what this server does with each, and the commands that serve it.

The command lines are those of the frameworks' own documentation. A leading `-m` means the
content's Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from hatch_connect.local.folder import HOST
from hatch_connect.project.content_kind import APP_MODES, AppMode

if TYPE_CHECKING:
    from hatch_connect.local.state import StoredBundle

Interface = Literal["asgi", "wsgi", "dash", "gradio", "command"]
_PORT = "{port}"  # stands for the port, which the process chooses


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """What this server does with content of one app mode.

    Content of the kind "process" is served by a process of its own, which `interface` describes;
    that of "files" has pages that lie on disk, rendered or as they are; "model" is only described.
    `learns` is how a process learns the path that it is mounted at: with each request, or when it
    is started (and if "whole", requests keep that path). `tag` is Connect's for the jobs of its
    process. `lacking` is why content of this mode cannot be deployed to this machine.
    """

    kind: Literal["process", "files", "model"] = "process"
    interface: Interface = "command"
    learns: Literal["by request", "at start", "at start, whole"] = "at start, whole"
    tag: str = "run_app"
    lacking: str | None = None


# `find_app_mode` takes `api` and `shiny` for short names; in a manifest they are Connect's.
KNOWN: dict[str, AppMode] = {mode.name: mode for mode in APP_MODES}
_NO_R = "The local server does not run R: deploy {} to a Connect server."
_R_MODES = {"shiny": "", "rmd-shiny": "", "rmd-static": "", "api": "a "}  # with their articles

MODES: dict[str, Mode] = {
    "python-api": Mode(interface="wsgi", learns="by request", tag="run_python_api"),
    "python-fastapi": Mode(interface="asgi", learns="by request", tag="run_fastapi_app"),
    "python-dash": Mode(interface="dash", learns="at start", tag="run_dash_app"),
    "python-gradio": Mode(interface="gradio", learns="at start", tag="run_gradio_app"),
    "python-shiny": Mode(interface="asgi", learns="by request", tag="run_pyshiny_app"),
    "python-streamlit": Mode(tag="run_streamlit"),
    "python-bokeh": Mode(tag="run_bokeh_app"),
    "python-panel": Mode(tag="run_panel_app"),
    "jupyter-voila": Mode(tag="run_voila_app"),
    "jupyter-static": Mode(kind="files", tag="build_jupyter"),
    "quarto-static": Mode(kind="files", tag="build_report"),
    "quarto-shiny": Mode(learns="by request", tag="render_shiny"),
    "static": Mode(kind="files"),
    "tensorflow-saved-model": Mode(kind="model"),
    **{
        name: Mode(lacking=_NO_R.format(article + KNOWN[name].title))
        for name, article in _R_MODES.items()
    },
    "nodejs": Mode(
        lacking="The local server does not run Node.js: deploy this content to a Connect server.",
    ),
}


def mode_of(bundle: StoredBundle) -> Mode:
    """Return what this server does with a bundle that was deployed."""
    return MODES[bundle.app_mode or ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Where content is visited: the hosts (such as localhost:3940), and its path on each."""

    hosts: tuple[str, ...]
    prefix: str


def serving_command(app_mode: str, entrypoint: str, mount: Mount) -> tuple[str, ...]:
    """Return the command that serves content of that mode; `entrypoint` is a path or empty."""
    match app_mode:
        case "python-streamlit":
            return _streamlit(entrypoint, mount)
        case "python-bokeh":
            # A folder in Bokeh's format has more than its program: a theme, templates, hooks.
            path = PurePosixPath(entrypoint)
            whole_folder = path.name in {"main.py", "main.ipynb"}
            return _bokeh("bokeh", str(path.parent) if whole_folder else entrypoint, mount)
        case "python-panel":
            return _bokeh("panel", entrypoint, mount)
        case "jupyter-voila":
            notebook = (entrypoint,) if entrypoint else ()
            where = (f"--Voila.ip={HOST}", f"--port={_PORT}", "--no-browser")
            return ("-m", "voila", *notebook, *where, f"--base_url={mount.prefix}/")
        case _:  # quarto-shiny
            options = ("--host", HOST, "--port", _PORT)
            return ("quarto", "serve", entrypoint, *options)


def _streamlit(entrypoint: str, mount: Mount) -> tuple[str, ...]:
    return (
        *("-m", "streamlit", "run", entrypoint),
        f"--server.address={HOST}",
        f"--server.port={_PORT}",
        f"--server.baseUrlPath={mount.prefix}",
        "--server.headless=true",
        "--server.fileWatcherType=none",
        "--browser.gatherUsageStats=false",
    )


def _bokeh(module: str, target: str, mount: Mount) -> tuple[str, ...]:
    return (
        *("-m", module, "serve", target),
        f"--address={HOST}",
        f"--port={_PORT}",
        f"--prefix={mount.prefix}",
        *(f"--allow-websocket-origin={host}" for host in mount.hosts),
        "--use-xheaders",
    )
