"""The command lines of programs that serve or render content.

They are those of the frameworks' own documentation. A leading `-m` means the content's Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.local.checks import Manifest

PORT = "{port}"  # stands for the port, which the process chooses
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """The URL of the server (such as http://127.0.0.1:3939), and the path of the content on it."""

    server: str
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
            where = (f"--Voila.ip={HOST}", f"--port={PORT}", "--no-browser")
            return ("-m", "voila", *notebook, *where, f"--base_url={mount.prefix}/")
        case _:  # quarto-shiny
            options = ("--host", HOST, "--port", PORT)
            return ("quarto", "serve", entrypoint, *options)


def _streamlit(entrypoint: str, mount: Mount) -> tuple[str, ...]:
    return (
        *("-m", "streamlit", "run", entrypoint),
        f"--server.address={HOST}",
        f"--server.port={PORT}",
        f"--server.baseUrlPath={mount.prefix}",
        "--server.headless=true",
        "--server.fileWatcherType=none",
        "--browser.gatherUsageStats=false",
    )


def _bokeh(module: str, target: str, mount: Mount) -> tuple[str, ...]:
    port = urlsplit(mount.server).port
    return (
        *("-m", module, "serve", target),
        f"--address={HOST}",
        f"--port={PORT}",
        f"--prefix={mount.prefix}",
        f"--allow-websocket-origin={HOST}:{port}",
        f"--allow-websocket-origin=localhost:{port}",
        "--use-xheaders",
    )


def notebook_command(python: Path, manifest: Manifest, output: Path) -> tuple[str | Path, ...]:
    """Return how to execute a notebook and to convert it to `output`/index.html."""
    hidden: list[str] = []
    if manifest.hide_all_input:
        hidden.append("--no-input")
    if manifest.hide_tagged_input:
        hidden += (
            "--TagRemovePreprocessor.enabled=True",
            "--TagRemovePreprocessor.remove_input_tags=hide_input",
        )
    return (
        *(python, "-m", "nbconvert", "--execute", "--to", "html"),
        # The kernel that a notebook names exists on its author's machine, not here.
        "--ExecutePreprocessor.kernel_name=python3",
        "--HTMLExporter.embed_images=True",
        *hidden,
        f"--output-dir={output}",
        "--output=index",
        manifest.entrypoint,
    )


def quarto_command(quarto: Path, document: str, output: str) -> tuple[str | Path, ...]:
    """Return how to render a document, or a project with `.`, to the folder `output` below it."""
    return (quarto, "render", document, "--output-dir", output)
