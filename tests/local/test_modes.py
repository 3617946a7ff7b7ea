from __future__ import annotations

from pathlib import Path

import pytest

from hatch_connect.bundle.manifest import Jupyter
from hatch_connect.local.deploy import notebook_command, quarto_command
from hatch_connect.local.modes import MODES, Mount, serving_command
from hatch_connect.project.content_kind import APP_MODES

_MOUNT = Mount(hosts=("127.0.0.1:3939", "localhost:3940"), prefix="/content/g")


@pytest.mark.parametrize(
    ("app_mode", "entrypoint", "begin", "options"),
    [
        (
            "python-streamlit",
            "pkg/app.py",
            ("-m", "streamlit", "run", "pkg/app.py"),
            {"--server.baseUrlPath=/content/g", "--server.port={port}", "--server.headless=true"},
        ),
        (
            "python-bokeh",
            "app.py",
            ("-m", "bokeh", "serve", "app.py"),
            {"--prefix=/content/g", "--allow-websocket-origin=127.0.0.1:3939", "--port={port}"},
        ),
        ("python-bokeh", "main.py", ("-m", "bokeh", "serve", "."), set()),
        ("python-bokeh", "dash/main.ipynb", ("-m", "bokeh", "serve", "dash"), set()),
        (
            "python-panel",
            "main.py",
            ("-m", "panel", "serve", "main.py"),
            {"--prefix=/content/g", "--allow-websocket-origin=localhost:3940"},
        ),
        (
            "jupyter-voila",
            "nb.ipynb",
            ("-m", "voila", "nb.ipynb"),
            {"--base_url=/content/g/", "--port={port}", "--no-browser"},
        ),
        ("jupyter-voila", "", ("-m", "voila", "--Voila.ip=127.0.0.1"), set()),
        (
            "quarto-shiny",
            "report.qmd",
            ("quarto", "serve", "report.qmd"),
            {"--host", "--port", "{port}"},
        ),
    ],
)
def test_what_serves_content(
    app_mode: str, entrypoint: str, begin: tuple[str, ...], options: set[str]
) -> None:
    command = serving_command(app_mode, entrypoint, _MOUNT)

    assert command[: len(begin)] == begin
    assert options <= set(command)
    assert "127.0.0.1" in " ".join(command)


_TAGGED = {
    "--TagRemovePreprocessor.enabled=True",
    "--TagRemovePreprocessor.remove_input_tags=hide_input",
}


@pytest.mark.parametrize(
    ("every", "tagged", "options"),
    [
        (False, False, set()),
        (True, False, {"--no-input"}),
        (False, True, _TAGGED),
        (True, True, {"--no-input", *_TAGGED}),
    ],
)
def test_what_renders_a_notebook(*, every: bool, tagged: bool, options: set[str]) -> None:
    jupyter = Jupyter(hide_all_input=every, hide_tagged_input=tagged)

    command = notebook_command(Path("/env/python"), "a b.ipynb", jupyter, Path("/out"))

    assert command[:5] == (Path("/env/python"), "-m", "nbconvert", "--execute", "--to")
    assert command[-3:] == ("--output-dir=/out", "--output=index", "a b.ipynb")
    assert {"--no-input", *_TAGGED} & set(command) == options


def test_what_renders_with_quarto() -> None:
    quarto = Path("/opt/quarto")

    assert quarto_command(quarto, ".", "out") == (quarto, "render", ".", "--output-dir", "out")


def test_every_app_mode_is_known() -> None:
    assert MODES.keys() == {mode.name for mode in APP_MODES}
