"""Jobs: what they tell, their logs, why they failed, and how they are ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.connect_content import ASGI_APP, bundle, bundle_of
from support.waiting import until

if TYPE_CHECKING:
    from support.local_api import Api

_ENDLESS = b"import time; print('begun', flush=True); time.sleep(3600)"
_TAKEN_PORT = b"""
import socket
taken = socket.create_server(("127.0.0.1", 0))
socket.create_server(taken.getsockname())
"""
_SUICIDE = b"import os, signal; os.kill(os.getpid(), signal.%s)"


def _notebook() -> bytes:
    files = {"nb.ipynb": b"", "nbconvert.py": _ENDLESS, "requirements.txt": b""}
    return bundle_of(files, metadata={"appmode": "jupyter-static", "entrypoint": "nb.ipynb"})


def test_jobs_tell_what_they_did(api: Api) -> None:
    guid = api.ship(bundle({"requirements.txt": b"# its own"}))
    api.visit(guid)

    runs, restores = api.ask("GET", f"v1/content/{guid}/jobs")

    assert (runs["tag"], runs["status"], runs["exit_code"]) == ("run_fastapi_app", 0, None)
    assert (restores["tag"], restores["status"]) == ("python_restore", 2)
    assert (restores["exit_code"], restores["error"], restores["pid"]) == (0, None, "0")
    assert int(runs["id"]) > int(restores["id"])
    log = api.ask("GET", f"v1/content/{guid}/jobs/{restores['key']}/log")["entries"]
    assert any("environment" in entry["data"] for entry in log)


def test_packages_that_are_there_take_no_job(api: Api) -> None:
    guid = api.ship()
    before = api.ask("GET", f"v1/content/{guid}/jobs")

    task = api.deploy(guid, api.upload(guid))

    assert "The package list is unchanged: reusing its environment." in task["output"]
    assert api.ask("GET", f"v1/content/{guid}/jobs") == before


def test_a_process_is_ended(api: Api) -> None:
    guid = api.ship()
    api.visit(guid)
    (job,) = api.jobs(guid)
    path = f"v1/content/{guid}/jobs/{job['key']}"

    done = api.ask("DELETE", path)

    assert (done["content_guid"], done["job_key"]) == (guid, job["key"])
    assert (done["app_id"], done["job_id"]) == (int(job["app_id"]), int(job["id"]))
    until(lambda: api.ask("GET", path)["status"] == 2)
    assert api.ask("GET", path)["error"] is None
    assert api.refused("DELETE", path) == (409, 163)
    assert api.refused("DELETE", f"v1/content/{guid}/jobs/none") == (404, 4)
    assert api.visit(guid).status_code == 200
    assert len(api.jobs(guid)) == 2


def test_rendering_is_ended(api: Api) -> None:
    guid = api.create()
    given = {"bundle_id": api.upload(guid, _notebook())}
    task_id = api.ask("POST", f"v1/content/{guid}/deploy", 202, json=given)["task_id"]
    until(lambda: "begun" in api.ask("GET", f"v1/tasks/{task_id}")["output"])
    (job,) = api.jobs(guid)

    api.ask("DELETE", f"v1/content/{guid}/jobs/{job['key']}")

    task = api.finished(task_id)
    assert task["error"] == "Rendering 'nb.ipynb' failed with exit code -9."
    (ended,) = api.jobs(guid)
    assert (ended["exit_code"], ended["error"]) == (-9, "It was ended.")


def test_a_log_is_followed_to_its_end(api: Api) -> None:
    guid = api.ship()
    api.visit(guid, "first")
    (job,) = api.jobs(guid)
    url = f"{api.server.url}/__api__/v1/content/{guid}/jobs/{job['key']}/tail"
    seen: list[str] = []

    with api.client.stream("GET", url) as answer:
        for line in answer.iter_lines():
            seen.append(json.loads(line)["data"])
            if seen[-1] == "visited /first":
                api.visit(guid, "second")
            if seen[-1] == "visited /second":
                api.ask("DELETE", f"v1/content/{guid}/jobs/{job['key']}")

    assert "visited /second" in seen
    log = api.ask("GET", f"v1/content/{guid}/jobs/{job['key']}/log")["entries"]
    assert seen == [entry["data"] for entry in log]
    path = f"v1/content/{guid}/jobs/{job['key']}/log"
    assert api.ask("GET", path, params={"maxLogLines": 2})["entries"] == log[-2:]


def test_a_log_is_downloaded(api: Api) -> None:
    guid = api.ship()
    api.visit(guid)
    (job,) = api.jobs(guid)
    url = f"{api.server.url}/__api__/v1/content/{guid}/jobs/{job['key']}/download"

    answer = api.client.get(url, params={"filename": 'a"\nb.log'})

    assert "visited /\n" in answer.text
    assert answer.headers["content-disposition"] == 'attachment; filename="a__b.log"'


@pytest.mark.parametrize(
    ("program", "code", "summary"),
    [
        (b"import nowhere.at_all", "python-module-not-found", "The module 'nowhere' is not"),
        (b"import time; time.sleep(3600)", "init-timeout", "within 1 s (init_timeout)"),
        (_SUICIDE % b"SIGKILL", "ended-by-signal", "signal 9, as the system does if memory"),
        (_SUICIDE % b"SIGSEGV", "ended-by-signal", "the signal 11."),
        (b"raise MemoryError", "out-of-memory", "ran out of memory"),
        (
            _TAKEN_PORT,
            "port-in-use",
            "is taken",
        ),
    ],
)
def test_why_a_process_failed(api: Api, program: bytes, code: str, summary: str) -> None:
    guid = api.ship(bundle({"app.py": program}), init_timeout=1 if code == "init-timeout" else 60)
    assert api.visit(guid).status_code == 502

    (job,) = api.jobs(guid)

    said = api.ask("GET", f"v1/content/{guid}/jobs/{job['key']}/error")
    assert said["code"] == code
    assert summary in said["summary"]
    assert said["help_url"].startswith("https://")
    assert job["error"]


def test_nothing_is_said_of_what_is_not_known(api: Api) -> None:
    guid = api.ship(bundle({"app.py": b"raise ValueError"}))
    api.visit(guid)
    other = api.ship(bundle({"app.py": ASGI_APP}))
    api.visit(other)

    for which in (guid, other):
        (job,) = api.jobs(which)
        assert api.ask("GET", f"v1/content/{which}/jobs/{job['key']}/error", 204) is None


def test_packages_that_cannot_be_installed_are_a_failed_job(api: Api) -> None:
    guid = api.create()
    api.deploy(guid, api.upload(guid, bundle({"requirements.txt": b"no such requirement\n"})))

    (job,) = api.ask("GET", f"v1/content/{guid}/jobs")

    assert (job["tag"], job["exit_code"]) == ("python_restore", 1)
    said = api.ask("GET", f"v1/content/{guid}/jobs/{job['key']}/error")
    assert said["code"] == "python-package-install-failed"
    assert said["help_url"].endswith("#python-package-install-failed")
