"""Notebooks, with the real packages that execute and convert them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from support.connect_content import PROJECTS, bundle_of, project_bundle

if TYPE_CHECKING:
    from support.local_api import Api

pytestmark = pytest.mark.registry

_NOTEBOOK = ("notebook", "jupyter-static", "report.ipynb")


@pytest.mark.parametrize(
    ("jupyter", "sums", "hidden"),
    [
        (None, True, True),
        ({"hide_tagged_input": True}, True, False),
        ({"hide_all_input": True}, False, False),
    ],
)
def test_a_notebook_is_executed(
    api: Api, *, jupyter: dict[str, bool] | None, sums: bool, hidden: bool
) -> None:
    guid = api.ship(project_bundle(*_NOTEBOOK, jupyter=jupyter))

    text = re.sub("<[^>]*>", "", api.visit(guid).text).replace("&#34;", '"')

    assert "hello from a notebook" in text
    assert "'sum 6'" in text
    assert "'hidden source'" in text
    assert ("numbers = [1, 2, 3]" in text) is sums
    assert ('"hidden " + "source"' in text) is hidden


def test_a_notebook_that_fails_leaves_what_was_there(api: Api) -> None:
    guid = api.ship(project_bundle(*_NOTEBOOK))
    files = {
        "report.ipynb": (PROJECTS / "notebook" / "report.ipynb")
        .read_bytes()
        .replace(b"numbers = [1, 2, 3]", b"numbers = missing"),
        "requirements.txt": (PROJECTS / "notebook" / "requirements.txt").read_bytes(),
    }
    metadata = {"appmode": "jupyter-static", "entrypoint": "report.ipynb"}

    task = api.deploy(guid, api.upload(guid, bundle_of(files, metadata=metadata)))

    assert task["code"] == 1
    assert "Rendering 'report.ipynb' failed" in task["error"]
    assert any("NameError" in line for line in task["output"])
    assert "hello from a notebook" in api.visit(guid).text
    failed, succeeded = api.jobs(guid)
    assert (failed["tag"], failed["exit_code"]) == ("build_jupyter", 1)
    assert succeeded["exit_code"] == 0
    log = api.ask("GET", f"v1/content/{guid}/jobs/{failed['key']}/log")
    assert "NameError" in json.dumps(log)


def test_voila(api: Api) -> None:
    guid = api.ship(project_bundle("voila-notebook", "jupyter-voila", "dashboard.ipynb"))

    page = api.visit(guid).text

    assert f'"baseUrl": "/content/{guid}/"' in page
    (kernel,) = re.findall(r'"kernelId": "([^"]+)"', page)
    header = {"msg_id": "1", "msg_type": "kernel_info_request", "username": "", "session": "s"}
    question = {"header": header, "parent_header": {}, "metadata": {}, "content": {}}
    with api.connect(guid, f"api/kernels/{kernel}/channels") as socket:
        socket.send(json.dumps({**question, "channel": "shell"}))
        while "kernel_info_reply" not in str(socket.recv(30)):
            pass


def test_voila_for_a_folder(api: Api) -> None:
    guid = api.ship(project_bundle("voila-folder", "jupyter-voila", ""))

    assert api.visit(guid).status_code == 200
    page = api.visit(guid, "voila/render/second.ipynb").text
    assert f'"baseUrl": "/content/{guid}/"' in page
