"""The app modes as Connect spells them, and what an entrypoint is in each.

Names and short names are those of Connect's `manifest.json` and of the official client, so that
what its users know works here. Two short names are also Connect's names of R content (`api`,
`shiny`): in a Python project they mean the Python app mode, as they do in the official client.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hatch_connect.errors import UsageError


class EntrypointKind(Enum):
    """What an entrypoint names.

    A SCRIPT may be written as a file (`app.py`) or as a module with or without an object. A FILE
    may be given as the folder that holds it, except for notebooks that ship with their source. For
    Quarto it is the document or the project to render; its manifest has no entrypoint.
    """

    OBJECT = "an object in a module"
    SCRIPT = "a script"
    FILE = "a file"
    FOLDER = "a folder"
    NONE = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppMode:
    """One kind of content.

    `frameworks` are normalized package names of which one must be installed for the content to
    run; `prepared` modes hold no Python of ours: they are deployed from a prepared manifest only.
    """

    name: str
    short_names: tuple[str, ...]
    title: str
    entrypoint: EntrypointKind
    has_python: bool = True
    frameworks: tuple[str, ...] = ()
    prepared: bool = False


APP_MODES: tuple[AppMode, ...] = (
    AppMode(
        name="python-api",
        short_names=("api", "flask", "wsgi"),
        title="Flask and other WSGI",
        entrypoint=EntrypointKind.OBJECT,
    ),
    AppMode(
        name="python-fastapi",
        short_names=("fastapi", "asgi"),
        title="FastAPI and other ASGI",
        entrypoint=EntrypointKind.OBJECT,
    ),
    AppMode(
        name="python-dash",
        short_names=("dash",),
        title="Dash",
        entrypoint=EntrypointKind.OBJECT,
        frameworks=("dash",),
    ),
    AppMode(
        name="python-streamlit",
        short_names=("streamlit",),
        title="Streamlit",
        entrypoint=EntrypointKind.SCRIPT,
        frameworks=("streamlit",),
    ),
    AppMode(
        name="python-bokeh",
        short_names=("bokeh",),
        title="Bokeh",
        entrypoint=EntrypointKind.SCRIPT,
        frameworks=("bokeh",),
    ),
    AppMode(
        name="python-shiny",
        short_names=("shiny", "express"),
        title="Shiny for Python",
        entrypoint=EntrypointKind.SCRIPT,
        frameworks=("shiny",),
    ),
    AppMode(
        name="python-gradio",
        short_names=("gradio",),
        title="Gradio",
        entrypoint=EntrypointKind.OBJECT,
        frameworks=("gradio",),
    ),
    AppMode(
        name="python-panel",
        short_names=("panel",),
        title="Panel",
        entrypoint=EntrypointKind.SCRIPT,
        frameworks=("panel",),
    ),
    AppMode(
        name="jupyter-static",
        short_names=("notebook", "jupyter"),
        title="Jupyter notebook",
        entrypoint=EntrypointKind.FILE,
        frameworks=("ipykernel", "jupyter", "notebook", "jupyterlab"),
    ),
    AppMode(
        name="jupyter-voila",
        short_names=("voila",),
        title="Voila",
        entrypoint=EntrypointKind.FILE,
        frameworks=("voila",),
    ),
    AppMode(
        name="quarto-static",
        short_names=("quarto",),
        title="Quarto document or site",
        entrypoint=EntrypointKind.FILE,
    ),
    AppMode(
        name="quarto-shiny",
        short_names=(),
        title="Quarto document with Shiny",
        entrypoint=EntrypointKind.FILE,
    ),
    AppMode(
        name="static",
        short_names=("html",),
        title="static HTML",
        entrypoint=EntrypointKind.FILE,
        has_python=False,
    ),
    AppMode(
        name="tensorflow-saved-model",
        short_names=("tensorflow",),
        title="TensorFlow SavedModel",
        entrypoint=EntrypointKind.FOLDER,
        has_python=False,
    ),
    *(
        AppMode(
            name=name,
            short_names=(),
            title=title,
            entrypoint=EntrypointKind.NONE,
            has_python=False,
            prepared=True,
        )
        for name, title in (
            ("nodejs", "Node.js"),
            ("shiny", "Shiny for R"),
            ("rmd-shiny", "R Markdown with Shiny"),
            ("rmd-static", "R Markdown"),
            ("api", "Plumber API"),
        )
    ),
)


def find_app_mode(name: str) -> AppMode:
    """Return the app mode that a person calls `name`, short names first.

    Raises UsageError with the names that come close.
    """
    wanted = name.strip().lower()
    for mode in APP_MODES:
        if wanted in mode.short_names or (wanted == mode.name and not mode.prepared):
            return mode
    for mode in APP_MODES:
        if wanted == mode.name:
            return mode
    raise UsageError(f"`{name}` is no app mode.", hint=_closest(wanted))


def _closest(wanted: str) -> str:
    from difflib import get_close_matches

    known = [n for mode in APP_MODES if not mode.prepared for n in (mode.name, *mode.short_names)]
    close = get_close_matches(wanted, known, n=3, cutoff=0.5)
    if close:
        return f"Close to it: {', '.join(close)}."
    return f"Known are: {', '.join(m.name for m in APP_MODES if not m.prepared)}."
