"""Each framework for apps, with its real packages: what a browser would ask for."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from support.connect_content import project_bundle

if TYPE_CHECKING:
    from support.local_api import Api
    from websockets.sync.client import ClientConnection
    from websockets.typing import Subprotocol

pytestmark = pytest.mark.registry

_RERUN = b"\x5a\x00"  # Streamlit's BackMsg (protobuf): an empty `rerun_script`, field 11
_SECONDS = 30


def _load(api: Api, guid: str, path: str = "") -> str:
    """Load a page as a browser does: with redirects, and each script and style that it names."""
    answer = api.visit(guid, path, follow_redirects=True)
    assert answer.status_code == 200, answer.text
    links: list[str] = re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]+)"', answer.text)
    for link in links:
        url = answer.url.join(link)
        if url.host == answer.url.host and not link.endswith("manifest.json"):
            assert url.path.startswith(f"/content/{guid}/"), link
    return answer.text


def _until(socket: ClientConnection, wanted: bytes) -> bytes:
    """Receive until a message holds these bytes."""
    while True:
        message = socket.recv(_SECONDS)
        raw = message.encode() if isinstance(message, str) else message
        if wanted in raw:
            return raw


@pytest.mark.parametrize("entrypoint", ["app:app", "app:server"])
def test_dash(api: Api, entrypoint: str) -> None:
    guid = api.ship(project_bundle("dash-app", "python-dash", entrypoint))

    page = _load(api, guid)

    (script,) = re.findall(r'src="(/content/[^"]*dash_renderer\.v[^"]*)"', page)
    path = script.removeprefix(f"/content/{guid}/")
    assert api.visit(guid, path).status_code == 200
    assert "hello from dash" in api.visit(guid, "_dash-layout").text


def test_a_draft_of_dash_is_mounted_elsewhere(api: Api) -> None:
    guid = api.create()
    number = api.upload(guid, project_bundle("dash-app", "python-dash", "app"))

    api.deploy(guid, number, activate=False)
    draft = _load(api, guid, f"_bundle{number}/")
    api.deploy(guid, number)
    active = _load(api, guid)

    assert f'"/content/{guid}/_bundle{number}/_dash-component-suites' in draft
    assert f'"/content/{guid}/_dash-component-suites' in active


def test_streamlit(api: Api) -> None:
    guid = api.ship(project_bundle("streamlit-app", "python-streamlit", "app.py"))

    assert "<title>Streamlit</title>" in _load(api, guid)
    assert api.visit(guid, "_stcore/health").text == "ok"
    protocols: list[Any] = ["streamlit"]
    with api.connect(guid, "_stcore/stream", subprotocols=protocols) as socket:
        assert socket.subprotocol == "streamlit"
        socket.send(_RERUN)
        _until(socket, b"hello from streamlit")


def _shiny_answers(socket: ClientConnection) -> None:
    _until(socket, b'"config"')
    inputs = {"n:shiny.number": 5, ".clientdata_output_doubled_hidden": False}
    socket.send(json.dumps({"method": "init", "data": inputs}))
    _until(socket, b'"doubled": "10"')
    socket.send(json.dumps({"method": "update", "data": {"n:shiny.number": 7}}))
    _until(socket, b'"doubled": "14"')


@pytest.mark.parametrize(
    ("project", "entrypoint", "title"),
    [
        ("shiny-core", "app:app", "hello from shiny core"),
        ("shiny-express", "shiny.express.app:app_2e_py", "hello from shiny express"),
    ],
)
def test_shiny(api: Api, project: str, entrypoint: str, title: str) -> None:
    guid = api.ship(project_bundle(project, "python-shiny", entrypoint))

    assert title in _load(api, guid)
    with api.connect(guid, "websocket/") as socket:
        _shiny_answers(socket)


@pytest.mark.parametrize(
    ("project", "app_mode", "entrypoint", "path", "title"),
    [
        ("bokeh-app", "python-bokeh", "app.py", "app", "hello from bokeh"),
        ("bokeh-folder", "python-bokeh", "main", "", "Bokeh Application"),
        ("panel-app", "python-panel", "app.py", "app", "hello from panel"),
    ],
)
def test_bokeh_and_panel(
    api: Api, project: str, app_mode: str, entrypoint: str, path: str, title: str
) -> None:
    guid = api.ship(project_bundle(project, app_mode, entrypoint))

    page = _load(api, guid)

    assert title in page
    (token,) = re.findall(r'"token":"([^"]+)"', page)[:1]
    protocols: list[Subprotocol | str] = ["bokeh", token]
    number = api.ask("GET", f"v1/content/{guid}")["bundle_id"]
    with api.connect(guid, f"{path or number}/ws", subprotocols=protocols) as socket:
        _until(socket, b'"msgtype": "ACK"')


def test_gradio(api: Api) -> None:
    guid = api.ship(project_bundle("gradio-app", "python-gradio", "app:demo"))

    page = _load(api, guid)

    assert f'"root":"{api.server.url}/content/{guid}"' in page
    question = {"data": ["you"]}
    asked = api.visit(guid, "gradio_api/call/greet", method="POST", json=question).json()
    answer = api.visit(guid, f"gradio_api/call/greet/{asked['event_id']}").text
    assert "hello you, from gradio" in answer
