"""The app modes as Connect spells them, and what an entrypoint is in each.

Names and short names are those of Connect's `manifest.json` and of the official client, so that
what its users know works here. Two short names are also Connect's names of R content (`api`,
`shiny`): in a Python project they mean the Python app mode, as they do in the official client.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hatch_connect.errors import UsageError

QUARTO_PROJECTS = ("_quarto.yml", "_quarto.yaml")


class EntrypointKind(Enum):
    """What an entrypoint names.

    A script may be written as a file (`app.py`) or as a module with or without an object. Notebooks
    (of which only Voila shows more than one), a document and a page may be given as the folder that
    holds them. For Quarto it is the document or the project to render; its manifest has no
    entrypoint.
    """

    OBJECT = "an object in a module"
    SCRIPT = "a script"
    NOTEBOOK = "a notebook"
    NOTEBOOKS = "a notebook or a folder of them"
    DOCUMENT = "a document or a folder"
    PAGE = "an HTML file or a folder"
    MODEL = "a folder"
    NONE = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppMode:
    """One kind of content, and all that is known of it.

    `frameworks` are normalized package names of which one must be installed for the content to
    run. `makers` are the classes and functions that make the object that a server runs: package,
    name; `object_name` is one more name that the framework's own examples give it. An `express`
    script needs no object. `companions` are the files and folders that the framework takes from
    beside the entrypoint's file (`{stem}` is its name; of a `main_has_folder` mode only a `main.py`
    has any), `companions_at_top` those from the bundle's root; if `names_pages`, texts in sources
    may name further scripts. `prepared` modes hold no Python of ours: they are deployed from a
    prepared manifest only.
    """

    name: str
    short_names: tuple[str, ...] = ()
    title: str
    entrypoint: EntrypointKind
    has_python: bool = True
    frameworks: tuple[str, ...] = ()
    makers: frozenset[tuple[str, str]] = frozenset()
    object_name: str | None = None
    express: bool = False
    companions: tuple[str, ...] = ()
    companions_at_top: tuple[str, ...] = ()
    main_has_folder: bool = False
    names_pages: bool = False
    prepared: bool = False

    @property
    def names_file(self) -> bool:
        """Whether the entrypoint is a file that is shown or rendered, not run as a program."""
        return self.entrypoint in {
            EntrypointKind.NOTEBOOK,
            EntrypointKind.NOTEBOOKS,
            EntrypointKind.DOCUMENT,
            EntrypointKind.PAGE,
        }

    @property
    def is_quarto(self) -> bool:
        """Whether Quarto renders or serves it."""
        return self.entrypoint is EntrypointKind.DOCUMENT

    @property
    def is_html(self) -> bool:
        """Whether the server hands out its files as they are."""
        return self.entrypoint is EntrypointKind.PAGE

    @property
    def is_notebook(self) -> bool:
        """Whether it is one notebook that ships with its source."""
        return self.entrypoint is EntrypointKind.NOTEBOOK


_APPS = ("templates", "static")
# https://docs.bokeh.org: what a folder with a main.py may hold beside it
_BOKEH = (*_APPS, "theme.yaml", "app_hooks.py", "request_handler.py", "server_lifecycle.py")
_QUARTO = (*QUARTO_PROJECTS, "_metadata.yml", "_brand.yml", "_extensions")


def _makers(names: str) -> frozenset[tuple[str, str]]:
    """Return pairs of package and name, from names as they are imported."""
    return frozenset((package, name) for package, name in (n.split(".") for n in names.split()))


APP_MODES: tuple[AppMode, ...] = (
    AppMode(
        name="python-api",
        short_names=("api", "flask", "wsgi"),
        title="Flask and other WSGI",
        entrypoint=EntrypointKind.OBJECT,
        makers=_makers(
            "flask.Flask apiflask.APIFlask flask_openapi3.OpenAPI bottle.Bottle bottle.default_app"
            " falcon.App falcon.API connexion.App connexion.FlaskApp django.get_wsgi_application"
        ),
        companions=_APPS,
    ),
    AppMode(
        name="python-fastapi",
        short_names=("fastapi", "asgi"),
        title="FastAPI and other ASGI",
        entrypoint=EntrypointKind.OBJECT,
        makers=_makers(
            "fastapi.FastAPI starlette.Starlette quart.Quart sanic.Sanic litestar.Litestar"
            " falcon.App blacksheep.Application connexion.AsyncApp django.get_asgi_application"
            " gradio.mount_gradio_app"
        ),
        companions=_APPS,
    ),
    AppMode(
        name="python-dash",
        short_names=("dash",),
        title="Dash",
        entrypoint=EntrypointKind.OBJECT,
        frameworks=("dash",),
        makers=_makers("dash.Dash jupyter_dash.JupyterDash dash_extensions.DashProxy"),
        companions=("assets", "pages"),
    ),
    AppMode(
        name="python-streamlit",
        short_names=("streamlit",),
        title="Streamlit",
        entrypoint=EntrypointKind.SCRIPT,
        frameworks=("streamlit",),
        companions=("pages", "static", ".streamlit"),
        companions_at_top=(".streamlit",),
        names_pages=True,
    ),
    AppMode(
        name="python-bokeh",
        short_names=("bokeh",),
        title="Bokeh",
        entrypoint=EntrypointKind.SCRIPT,
        frameworks=("bokeh",),
        companions=_BOKEH,
        main_has_folder=True,
    ),
    AppMode(
        name="python-shiny",
        short_names=("shiny", "express"),
        title="Shiny for Python",
        entrypoint=EntrypointKind.SCRIPT,
        frameworks=("shiny",),
        makers=_makers("shiny.App"),
        express=True,
        companions=("www", "_brand.yml"),
    ),
    AppMode(
        name="python-gradio",
        short_names=("gradio",),
        title="Gradio",
        entrypoint=EntrypointKind.OBJECT,
        frameworks=("gradio",),
        makers=_makers(
            "gradio.Blocks gradio.Interface gradio.ChatInterface gradio.TabbedInterface"
        ),
        object_name="demo",
    ),
    AppMode(
        name="python-panel",
        short_names=("panel",),
        title="Panel",
        entrypoint=EntrypointKind.SCRIPT,
        frameworks=("panel",),
        companions=_BOKEH,
        main_has_folder=True,
    ),
    AppMode(
        name="jupyter-static",
        short_names=("notebook", "jupyter"),
        title="Jupyter notebook",
        entrypoint=EntrypointKind.NOTEBOOK,
        frameworks=("ipykernel", "jupyter", "notebook", "jupyterlab"),
    ),
    AppMode(
        name="jupyter-voila",
        short_names=("voila",),
        title="Voila",
        entrypoint=EntrypointKind.NOTEBOOKS,
        frameworks=("voila",),
        companions=("voila.json",),
    ),
    AppMode(
        name="quarto-static",
        short_names=("quarto",),
        title="Quarto document or site",
        entrypoint=EntrypointKind.DOCUMENT,
        companions=_QUARTO,
    ),
    AppMode(
        name="quarto-shiny",
        title="Quarto document with Shiny",
        entrypoint=EntrypointKind.DOCUMENT,
        companions=_QUARTO,
    ),
    AppMode(
        name="static",
        short_names=("html",),
        title="static HTML",
        entrypoint=EntrypointKind.PAGE,
        has_python=False,
        companions=("{stem}_files",),
    ),
    AppMode(
        name="tensorflow-saved-model",
        short_names=("tensorflow",),
        title="TensorFlow SavedModel",
        entrypoint=EntrypointKind.MODEL,
        has_python=False,
    ),
    *(
        AppMode(
            name=name,
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
    raise UsageError(f"`{name}` is not a valid app mode.", hint=_closest(wanted))


def _closest(wanted: str) -> str:
    from difflib import get_close_matches

    known = [n for mode in APP_MODES if not mode.prepared for n in (mode.name, *mode.short_names)]
    close = get_close_matches(wanted, known, n=1, cutoff=0.5)
    if close:
        return f"Did you mean `{close[0]}`?"
    return f"Valid app modes: {', '.join(m.name for m in APP_MODES if not m.prepared)}."
