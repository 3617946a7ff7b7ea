"""How frameworks are started, with small stand-ins of them that lie in the bundle itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.connect_content import ASGI_APP, bundle_of
from support.waiting import until

if TYPE_CHECKING:
    from support.local_api import Api

# Serves its command line, its environment and what it was asked, as a framework's program would.
_PROGRAM = b"""
import http.server, json, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answer = {"argv": sys.argv[1:], "path": self.path, "environ": dict(os.environ)}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

port = int(next(part for part in sys.argv if "port=" in part).partition("=")[2])
print("here", __name__, flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def _bundle(app_mode: str, entrypoint: str, **files: bytes) -> bytes:
    content = {"requirements.txt": b""}
    content |= {name.replace("__dot__", "."): text for name, text in files.items()}
    return bundle_of(content, metadata={"appmode": app_mode, "entrypoint": entrypoint})


@pytest.mark.parametrize(
    ("app_mode", "module", "entrypoint", "tag"),
    [
        ("python-streamlit", "streamlit", "app.py", "run_streamlit"),
        ("python-bokeh", "bokeh", "app", "run_bokeh_app"),
        ("python-panel", "panel", "app.py", "run_panel_app"),
        ("jupyter-voila", "voila", "nb.ipynb", "run_voila_app"),
    ],
)
def test_a_program_of_a_framework(
    api: Api, app_mode: str, module: str, entrypoint: str, tag: str
) -> None:
    files = {"app__dot__py": b"", "nb__dot__ipynb": b"", f"{module}__dot__py": _PROGRAM}
    guid = api.create(idle_timeout=0)
    number = api.upload(guid, _bundle(app_mode, entrypoint, **files))
    api.deploy(guid, number)

    active = api.visit(guid, "a%20b?x=1").json()
    draft = api.visit(guid, f"_bundle{number}/").json()

    prefix = f"/content/{guid}"
    assert active["path"] == f"{prefix}/a%20b?x=1"
    assert draft["path"] == f"{prefix}/_bundle{number}/"
    assert any(part.rstrip("/").endswith(f"={prefix}") for part in active["argv"])
    assert any(part.rstrip("/").endswith(f"/_bundle{number}") for part in draft["argv"])
    assert {"CONNECT_CONTENT_GUID", "VIRTUAL_ENV"} <= active["environ"].keys()
    assert [job["tag"] for job in api.jobs(guid)] == [tag, tag]
    api.deploy(guid, api.upload(guid, _bundle(app_mode, entrypoint, **files)))
    until(lambda: all(job["end_time"] for job in api.jobs(guid)[-2:]))


def test_a_framework_that_is_not_installed(api: Api) -> None:
    guid = api.ship(_bundle("python-streamlit", "app.py", app__dot__py=b""))

    answer = api.visit(guid)

    assert answer.status_code == 502
    assert "No module named streamlit" in answer.text


_DASH = b"""
import os

class Dash:
    def server(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        mounted = os.environ["DASH_REQUESTS_PATHNAME_PREFIX"]
        return [f"{mounted}|{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode()]

app = Dash()
server = app.server
"""


@pytest.mark.parametrize("entrypoint", ["app", "app:app", "app:server"])
def test_an_object_with_a_server(api: Api, entrypoint: str) -> None:
    guid = api.ship(_bundle("python-dash", entrypoint, app__dot__py=_DASH))
    prefix = f"/content/{guid}"

    assert api.visit(guid, "a").text == f"{prefix}/|{prefix}|/a"


_BLOCKS = b"""
class Blocks:
    def launch(self):
        raise NotImplementedError

demo = Blocks()
"""
_GRADIO = b"""
from plain import app

def mount_gradio_app(outer, blocks, path):
    assert (outer, type(blocks).__name__, path) == ("outer", "Blocks", "")
    return app
"""


def test_blocks_are_mounted(api: Api) -> None:
    files: dict[str, Any] = {
        "app__dot__py": _BLOCKS,
        "plain__dot__py": ASGI_APP,
        "gradio__dot__py": _GRADIO,
        "fastapi__dot__py": b"def FastAPI(): return 'outer'",
    }
    mounted = api.ship(_bundle("python-gradio", "app:demo", **files))
    ready = api.ship(_bundle("python-gradio", "plain:app", **files))

    for guid in (mounted, ready):
        seen = api.visit(guid, "a").json()
        assert seen["root_path"] == f"/content/{guid}"
        assert seen["environ"]["GRADIO_ROOT_PATH"] == f"/content/{guid}"


_EXPRESS = b"""
from plain import app

def __getattr__(name):
    if name != "app_2e_py":
        raise AttributeError(name)
    return app
"""


def test_an_express_app(api: Api) -> None:
    files = {"app.py": b"", "plain.py": ASGI_APP, "shiny/express/app.py": _EXPRESS}
    metadata = {"appmode": "python-shiny", "entrypoint": "shiny.express.app:app_2e_py"}
    guid = api.ship(bundle_of({**files, "requirements.txt": b""}, metadata=metadata))

    assert api.visit(guid, "a").json()["path"] == "/a"
