"""The kinds of content, and what this server does with each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Interface = Literal["asgi", "wsgi", "dash", "gradio", "command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One app mode of a manifest.

    `entrypoint` is what its entrypoint names. Content of the kind "process" is served by a process
    of its own, which `interface` describes; that of "files" has pages that lie on disk, rendered
    or as they are; "model" is only described. `learns` is how a process learns the path that it is
    mounted at: with each request, or when it is started (and if "whole", requests keep that path).
    `lacking` is why content of this mode cannot be deployed to this machine.
    """

    entrypoint: Literal[
        "object", "shiny", "script", "notebook", "notebooks", "document", "page", "model", "none"
    ]
    kind: Literal["process", "files", "model"] = "process"
    interface: Interface = "command"
    learns: Literal["by request", "at start", "at start, whole"] = "at start, whole"
    python: Literal["needed", "optional", "none"] = "needed"
    lacking: str | None = None


_NO_R = "This server has no R: {} needs a Connect server that has."
_R_MODES = {
    "shiny": "Shiny for R",
    "rmd-shiny": "R Markdown with Shiny",
    "rmd-static": "R Markdown",
    "api": "a Plumber API",
}

MODES: dict[str, Mode] = {
    "python-api": Mode(entrypoint="object", interface="wsgi", learns="by request"),
    "python-fastapi": Mode(entrypoint="object", interface="asgi", learns="by request"),
    "python-dash": Mode(entrypoint="object", interface="dash", learns="at start"),
    "python-gradio": Mode(entrypoint="object", interface="gradio", learns="at start"),
    "python-shiny": Mode(entrypoint="shiny", interface="asgi", learns="by request"),
    "python-streamlit": Mode(entrypoint="script"),
    "python-bokeh": Mode(entrypoint="script"),
    "python-panel": Mode(entrypoint="script"),
    "jupyter-voila": Mode(entrypoint="notebooks"),
    "jupyter-static": Mode(entrypoint="notebook", kind="files"),
    "quarto-static": Mode(entrypoint="document", kind="files", python="optional"),
    "quarto-shiny": Mode(entrypoint="document", learns="by request", python="optional"),
    "static": Mode(entrypoint="page", kind="files", python="none"),
    "tensorflow-saved-model": Mode(entrypoint="model", kind="model", python="none"),
    **{
        name: Mode(entrypoint="none", python="none", lacking=_NO_R.format(title))
        for name, title in _R_MODES.items()
    },
    "nodejs": Mode(
        entrypoint="none",
        python="none",
        lacking="This server has no Node.js: the content needs a Connect server that has.",
    ),
}
