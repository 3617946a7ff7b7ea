from __future__ import annotations

import concurrent.futures
import json
import socket
import time
from typing import TYPE_CHECKING

import pytest
from support.connect_content import ANSWERS, ASGI_APP, PYTHON, WSGI_APP, archive, bundle, manifest

if TYPE_CHECKING:
    from support.local_api import Api


def _answering(answer: str) -> bytes:
    return bundle({"app.py": ANSWERS % answer.encode()})


def test_a_bundle_becomes_content_that_answers(api: Api) -> None:
    guid = api.create()
    number = api.upload(guid)

    task = api.deploy(guid, number)

    assert (task["code"], task["error"]) == (0, "")
    assert task["last"] == len(task["output"]) > 1
    content = api.ask("GET", f"v1/content/{guid}")
    assert content["bundle_id"] == number
    assert content["app_mode"] == "python-fastapi"
    assert content["py_version"] == PYTHON
    assert api.ask("GET", f"v1/content/{guid}/bundles/{number}")["active"] is True
    assert api.visit(guid).json()["path"] == "/"


def test_a_draft_is_visited_before_it_is_activated(api: Api) -> None:
    guid = api.ship(_answering("first"))
    draft = api.upload(guid, _answering("second"))

    task = api.deploy(guid, draft, activate=False)

    assert task["code"] == 0
    assert api.visit(guid).text == "first"
    assert api.visit(guid, f"_bundle{draft}/").text == "second"

    api.deploy(guid, draft)

    assert api.visit(guid).text == "second"


def test_an_older_bundle_is_the_way_back(api: Api) -> None:
    guid = api.ship(_answering("first"))
    first = api.ask("GET", f"v1/content/{guid}")["bundle_id"]
    api.deploy(guid, api.upload(guid, _answering("second")))
    assert api.visit(guid).text == "second"

    task = api.deploy(guid, first)

    assert task["code"] == 0
    assert api.visit(guid).text == "first"


def test_a_bundle_that_is_deployed_twice_at_once_is_unpacked_once(api: Api) -> None:
    guid = api.create()
    number = api.upload(guid, _answering("here"))
    path, asked = f"v1/content/{guid}/deploy", {"bundle_id": number}

    begun = [api.ask("POST", path, 202, json=asked)["task_id"] for _ in range(2)]

    outputs = ["\n".join(api.finished(task_id)["output"]) for task_id in begun]
    assert ["Unpacking" in output for output in outputs] == [True, False]
    assert api.visit(guid).text == "here"


def test_without_a_number_the_newest_bundle_is_deployed(api: Api) -> None:
    guid = api.create()
    assert api.refused("POST", f"v1/content/{guid}/deploy", json={})[0] == 400
    api.upload(guid, _answering("first"))
    newest = api.upload(guid, _answering("second"))

    task_id = api.ask("POST", f"v1/content/{guid}/deploy", 202, json={})["task_id"]
    while not api.ask("GET", f"v1/tasks/{task_id}?first=1000&wait=5")["finished"]:
        pass

    assert api.ask("GET", f"v1/content/{guid}")["bundle_id"] == newest


def test_a_failed_draft_leaves_the_active_bundle(api: Api) -> None:
    guid = api.ship(_answering("first"))
    files = {"app.py": ASGI_APP, "requirements.txt": b""}
    broken = api.upload(guid, archive({**files, "manifest.json": b'{"version": 1}'}))

    task = api.deploy(guid, broken, activate=False)

    assert task["code"] == 1
    assert "metadata.appmode is missing" in task["error"]
    assert api.visit(guid).text == "first"
    assert api.visit(guid, f"_bundle{broken}/").status_code == 404


@pytest.mark.parametrize("content", [b"nothing of the kind", bundle()[:200]])
def test_an_archive_that_is_none(api: Api, content: bytes) -> None:
    guid = api.create()

    task = api.deploy(guid, api.upload(guid, content))

    assert task["code"] == 1
    assert "not a readable .tar.gz" in task["error"]


def test_a_python_that_is_not_here(api: Api) -> None:
    guid = api.create()
    package_manager = {"name": "pip", "package_file": "requirements.txt"}
    content = bundle(python={"version": "3.99.1", "package_manager": package_manager})

    task = api.deploy(guid, api.upload(guid, content))

    assert task["code"] == 1
    assert task["error"] == (
        "Cannot find compatible environment: no compatible Local environment with Python version"
        " 3.99.1"
    )


def test_packages_that_cannot_be_installed(api: Api) -> None:
    guid = api.create()
    content = bundle({"requirements.txt": b"no such requirement\n"})

    task = api.deploy(guid, api.upload(guid, content))

    assert task["code"] == 1
    assert "uv ended with exit code" in task["error"]
    assert any("no such requirement" in line for line in task["output"])


def test_the_app_mode_stays(api: Api) -> None:
    guid = api.ship()
    metadata = {"appmode": "python-api", "entrypoint": "app:app"}
    other = api.upload(guid, bundle({"app.py": WSGI_APP}, metadata=metadata))

    deploy = f"v1/content/{guid}/deploy"
    assert api.refused("POST", deploy, json={"bundle_id": other}) == (403, 48)
    assert api.visit(guid).status_code == 200


@pytest.mark.parametrize("given", [{"bundle_id": 3}, {"activate": "no"}, {"activate": 1}])
def test_a_deployment_that_cannot_be_asked_for(api: Api, given: dict[str, object]) -> None:
    guid = api.create()
    api.upload(guid)

    assert api.refused("POST", f"v1/content/{guid}/deploy", json=given)[0] == 400


def test_the_log_is_polled_for_news(api: Api) -> None:
    guid = api.create()
    number = api.upload(guid)
    given = {"bundle_id": number}
    task_id = api.ask("POST", f"v1/content/{guid}/deploy", 202, json=given)["task_id"]
    path = f"v1/tasks/{task_id}"
    while not api.ask("GET", f"{path}?first=1000&wait=9")["finished"]:
        pass

    whole = api.ask("GET", path)
    began = time.monotonic()
    rest = api.ask("GET", f"{path}?first=1&wait=20")

    assert rest["output"] == whole["output"][1:]
    assert api.ask("GET", f"{path}?first={10**9}") == {**whole, "output": []}
    assert time.monotonic() - began < 20  # it does not wait
    assert api.refused("GET", "v1/tasks/none") == (404, 141)
    assert api.refused("GET", f"{path}?first=-1")[0] == 400


def test_the_same_packages_are_installed_once(api: Api) -> None:
    guid = api.ship(bundle({"requirements.txt": b"# the same\n"}))

    again = bundle({"requirements.txt": b"# the same\n", "other.py": b""})
    task = api.deploy(guid, api.upload(guid, again))

    assert any("unchanged" in line for line in task["output"])


def test_an_interpreter_is_taken_as_it_is(api: Api) -> None:
    guid = api.create()
    environment = {"image": "an/image:1", "environment_management": {"python": False}}
    files = {"requirements.txt": b"no such requirement\n"}
    number = api.upload(guid, bundle(files, environment=environment))

    task = api.deploy(guid, number)

    assert task["code"] == 0
    assert any("an/image:1" in line for line in task["output"])
    assert any("management is off" in line for line in task["output"])
    assert api.visit(guid).status_code == 200
    assert api.ask("GET", f"v1/content/{guid}")["py_environment_management"] is False
    bundles = f"v1/content/{guid}/bundles/{number}"
    assert api.ask("GET", bundles)["py_environment_management"] is False
    # Connect lists what it installed itself, and nothing else.
    assert api.ask("GET", f"v1/content/{guid}/packages") == []
    assert api.refused("GET", f"v1/content/{guid}/lockfile") == (404, 4)


def test_management_may_be_off_for_content(api: Api) -> None:
    guid = api.create(default_py_environment_management=False)
    files = {"requirements.txt": b"no such requirement\n"}

    left = api.deploy(guid, api.upload(guid, bundle(files)))
    wanted = {"environment_management": {"python": True}}
    managed = api.deploy(guid, api.upload(guid, bundle(files, environment=wanted)))

    assert left["code"] == 0
    assert "uv ended with exit code" in managed["error"]


def test_the_python_is_what_the_manifest_requires(api: Api) -> None:
    guid = api.create()
    environment = {"python": {"requires": f"=={PYTHON}"}}

    task = api.deploy(guid, api.upload(guid, bundle(environment=environment)))

    assert task["code"] == 0
    assert api.ask("GET", f"v1/content/{guid}")["py_version"] == PYTHON


def test_jobs_and_their_logs(api: Api) -> None:
    guid = api.ship()
    assert api.jobs(guid) == []
    api.visit(guid, "some/where")

    (job,) = api.jobs(guid)

    assert job["end_time"] is None
    path = f"v1/content/{guid}/jobs/{job['key']}"
    assert api.ask("GET", path) == job
    entries = api.ask("GET", f"{path}/log")["entries"]
    assert ("stdout", "visited /some/where") in [(one["source"], one["data"]) for one in entries]
    assert api.ask("GET", f"{path}/log", params={"maxLogLines": 1})["entries"] == entries[-1:]
    assert api.ask("GET", f"{path}/error", 204) is None
    for what in ("log", "error"):
        assert api.refused("GET", f"v1/content/{guid}/jobs/none/{what}") == (404, 4)


def test_deleted_content_is_gone_with_its_files(api: Api) -> None:
    guid = api.ship()
    number = api.ask("GET", f"v1/content/{guid}")["bundle_id"]
    assert api.visit(guid).status_code == 200

    api.ask("DELETE", f"v1/content/{guid}", 204)

    assert api.visit(guid).status_code == 404
    state = api.server.state
    assert not (state / "bundles" / f"{number}.tar.gz").exists()
    assert not (state / "unpacked" / number).exists()
    assert not (state / "home" / guid).exists()


def test_a_deleted_draft_is_gone(api: Api) -> None:
    guid = api.ship()
    draft = api.upload(guid)
    api.deploy(guid, draft, activate=False)
    assert api.visit(guid, f"_bundle{draft}/").status_code == 200

    api.ask("DELETE", f"v1/content/{guid}/bundles/{draft}", 204)

    assert api.visit(guid, f"_bundle{draft}/").status_code == 404


def test_a_single_top_folder_is_stepped_into(api: Api) -> None:
    files = {"app.py": ANSWERS % b"inside", "requirements.txt": b""}
    described = json.dumps(manifest(files)).encode()
    guid = api.ship(archive({**files, "manifest.json": described}, top="inner/"))

    assert api.visit(guid).text == "inside"


def test_two_deployments_at_once_end_one_after_the_other(api: Api) -> None:
    guid = api.create()
    numbers = [api.upload(guid, _answering(text)) for text in ("first", "second")]

    with concurrent.futures.ThreadPoolExecutor() as pool:
        tasks = list(pool.map(lambda number: api.deploy(guid, number), numbers))

    assert [task["code"] for task in tasks] == [0, 0]
    assert api.visit(guid).text in {"first", "second"}


@pytest.mark.parametrize("what", ["content", "bundle"])
def test_a_deployment_ends_when_what_it_is_about_is_removed(api: Api, what: str) -> None:
    """Here it waits for a package index that never answers."""
    guid = api.create()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        index = f"--index-url http://127.0.0.1:{silent.getsockname()[1]}/\n"
        number = api.upload(guid, bundle({"requirements.txt": f"{index}never\n".encode()}))
        path = f"v1/content/{guid}/deploy"
        task = api.ask("POST", path, 202, json={"bundle_id": number})["task_id"]
        connection, _ = silent.accept()
        with connection:
            removed = "" if what == "content" else f"/bundles/{number}"
            api.ask("DELETE", f"v1/content/{guid}{removed}", 204)

    if what == "bundle":
        error = api.ask("GET", f"v1/tasks/{task}")["error"]
        assert error == "The bundle was removed."
    state = api.server.state
    assert not (state / "unpacked" / number).exists()
    # What was begun of its environment is gone as well.
    assert all((one / ".complete").exists() for one in (state / "environments").iterdir())
