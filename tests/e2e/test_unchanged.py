"""What is active already is not uploaded again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.fake_bundle import Reply
from support.fake_connect import Say, redirect
from support.fake_content import FakeTask
from support.sample_bundle import APP, sample_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from support.calling import Called, Caller
    from support.fake_connect import FakeConnect
    from support.fake_content import FakeContent

TABLE = '[tool.hatch-connect]\napp-mode = "fastapi"\nentrypoint = "app:app"\n'
NOTHING = "Nothing to upload: bundle {} is the same."


@pytest.fixture
def root(caller: Caller) -> Path:
    """A project without a variable, whose packages are pinned."""
    folder = caller.folder / "sales"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(TABLE, encoding="utf-8")
    (folder / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    (folder / ".python-version").write_text("3.12\n", encoding="utf-8")
    (folder / "app.py").write_text("async def app(*_): ...\n", encoding="utf-8")
    return folder


@pytest.fixture
def deployed(caller: Caller, fake: FakeConnect, root: Path) -> FakeContent:
    """The project's content, which was deployed from here."""
    assert deploy(caller, root).code == 0
    fake.requests.clear()
    (content,) = fake.contents.values()
    return content


def deploy(caller: Caller, root: Path, **options: object) -> Called:
    return caller.call("deploy", directory=str(root), **options)


def changes(fake: FakeConnect) -> list[str]:
    """Return what was asked of the server but questions, without the path of the content."""
    return [c.rpartition("/")[2] for c in fake.calls() if not c.startswith("GET")]


def forget(caller: Caller) -> None:
    for file in (caller.folder / "home" / ".rsconnect-python" / "applications").iterdir():
        file.unlink()


def test_it_is_visited_and_six_requests_are_enough(
    caller: Caller, fake: FakeConnect, root: Path, deployed: FakeContent
) -> None:
    (archive,) = (root / "dist" / "connect").glob("*.tgz")
    archive.unlink()
    done = deploy(caller, root, json=True)
    assert done.code == 0, done.said
    assert NOTHING.format(deployed.bundle_id) in done.stderr
    assert not archive.exists()
    guid = f"v1/content/{deployed.guid}"
    assert fake.calls() == [
        "GET server_settings",
        "GET v1/user",
        f"GET {guid}",
        "GET v1/server_settings/python",
        f"GET {guid}/repository",
        f"GET /content/{deployed.guid}/",
    ]
    facts = json.loads(done.stdout)
    assert facts["bundle_id"] == deployed.bundle_id
    assert (facts["uploaded"], facts["active"], facts["previous_bundle_id"]) == (False, True, None)
    assert facts["answer"]["verified"]


@pytest.mark.parametrize("by", ["guid", "name"])
def test_six_are_enough_without_a_record(
    caller: Caller, fake: FakeConnect, root: Path, deployed: FakeContent, by: str
) -> None:
    forget(caller)
    named = {"app_id": deployed.guid} if by == "guid" else {}
    done = deploy(caller, root, **named)
    assert NOTHING.format(deployed.bundle_id) in done.stderr
    assert changes(fake) == []
    assert len(fake.requests) == 6


def test_no_visit_is_five(
    caller: Caller, fake: FakeConnect, root: Path, deployed: FakeContent
) -> None:
    done = deploy(caller, root, no_verify=True)
    assert NOTHING.format(deployed.bundle_id) in done.stderr
    assert (changes(fake), len(fake.requests)) == ([], 5)


@pytest.mark.parametrize("version", ["2025.11.0", "2024.09.0", "hidden"])
def test_a_server_that_takes_no_metadata(
    caller: Caller, fake: FakeConnect, root: Path, version: str
) -> None:
    """Only the history knows what is active there."""
    fake.version, fake.hides_version = version.replace("hidden", "2026.06.0"), version == "hidden"
    assert deploy(caller, root).code == 0
    fake.requests.clear()
    assert "Nothing to upload" in deploy(caller, root).stderr
    assert (changes(fake), len(fake.requests)) == ([], 6)
    forget(caller)
    assert "Uploading" in deploy(caller, root).stderr


def test_the_plan_says_so(
    caller: Caller, fake: FakeConnect, root: Path, deployed: FakeContent
) -> None:
    planned = json.loads(deploy(caller, root, dry_run=True, json=True).stdout)
    assert planned["steps"] == [
        f"upload nothing: bundle {deployed.bundle_id} is the same",
        "verify that it answers at /, and deploy it again if it does not",
    ]
    variable = ("TOKEN=1",)
    options = {"dry_run": True, "environment": variable}
    lines = deploy(caller, root, **options).stdout.splitlines()
    again = "deployed again, to apply the changes"
    assert lines[1:] == [
        f"  bundle     {deployed.bundle_id} is {again}",
        "  variables  + TOKEN",
        "Plan: 1 to update, 0 to create. Nothing was changed.",
    ]
    lines = deploy(caller, root, verbose=True, **options).stdout.splitlines()
    assert lines[4:6] == [
        "  1. set TOKEN",
        f"  2. upload nothing: bundle {deployed.bundle_id} is the same",
    ]
    assert changes(fake) == []


@pytest.mark.parametrize("broken", [Say(500, b"no"), redirect("/__login__")])
def test_what_does_not_answer_is_deployed_again(
    caller: Caller, fake: FakeConnect, root: Path, deployed: FakeContent, broken: Say
) -> None:
    fake.misbehave("GET", "^/content/", broken)
    done = deploy(caller, root)
    assert done.code == 0, done.said
    assert changes(fake) == ["deploy"]
    assert fake.last("POST .*/deploy").json == {"bundle_id": deployed.bundle_id}
    assert "answered 200" in done.stderr


def test_what_does_not_answer_then_either_is_exit_code_five(
    caller: Caller, fake: FakeConnect, root: Path, deployed: FakeContent
) -> None:
    fake.page = Reply(500, b"broken")
    done = deploy(caller, root)
    assert done.code == 5, done.said
    assert changes(fake) == ["deploy"]
    assert f"On the server: content {deployed.guid}; bundle {deployed.bundle_id} is active." in (
        done.stderr
    )
    assert "did not answer" in caller.call("versions", directory=str(root)).stdout
    fake.page = Reply(200, b"{}")
    assert deploy(caller, root).code == 0
    assert "did not answer" not in caller.call("versions", directory=str(root)).stdout


def test_a_task_that_fails_is_exit_code_four(
    caller: Caller, fake: FakeConnect, root: Path, deployed: FakeContent
) -> None:
    fake.next_task = FakeTask(code=1, error="no memory")
    done = deploy(caller, root, environment=("TOKEN=1",))
    assert done.code == 4, done.said
    assert f"changed (set TOKEN); bundle {deployed.bundle_id} is active." in done.stderr


def test_variables_are_set_again_for_new_processes(
    caller: Caller, fake: FakeConnect, root: Path, deployed: FakeContent
) -> None:
    for value in ("first", "rotated", "rotated"):
        fake.requests.clear()
        done = deploy(caller, root, environment=(f"TOKEN={value}",))
        assert done.code == 0, done.said
        assert changes(fake) == ["environment", "deploy"]
        assert deployed.environment == {"TOKEN": value}
        assert fake.calls()[-1] == f"GET /content/{deployed.guid}/"


def test_a_title_needs_no_new_process(
    caller: Caller, fake: FakeConnect, root: Path, deployed: FakeContent
) -> None:
    assert deploy(caller, root, title="Another title").code == 0
    assert changes(fake) == [deployed.guid]
    assert deployed.title == "Another title"


def test_an_image_does(
    caller: Caller, fake: FakeConnect, root: Path, deployed: FakeContent
) -> None:
    text = f'{TABLE}[tool.hatch-connect.on.here]\nserver = "{fake.url}"\nimage = "team/python:2"\n'
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    assert deploy(caller, root).code == 0  # pyproject.toml ships
    fake.requests.clear()
    deployed.fields["default_image_name"] = "team/python:1"
    assert deploy(caller, root).code == 0
    assert changes(fake) == [deployed.guid, "deploy"]


@pytest.mark.parametrize("mode", ["jupyter-static", "quarto-static", "rmd-static"])
def test_what_the_server_renders_is_rendered_again(
    caller: Caller, fake: FakeConnect, mode: str
) -> None:
    sample_bundle(caller.folder / "report.tar.gz", app_mode=mode)
    for expected in (["content", "bundles", "deploy", "deploy"], ["deploy"], ["deploy"]):
        fake.requests.clear()
        done = caller.call("deploy", file="report.tar.gz")
        assert done.code == 0, done.said
        assert changes(fake) == expected
    assert "which renders it" in done.stderr


@pytest.mark.parametrize("mode", ["jupyter-voila", "quarto-shiny", "static"])
def test_what_it_serves_is_not(caller: Caller, fake: FakeConnect, mode: str) -> None:
    sample_bundle(caller.folder / "report.tar.gz", app_mode=mode)
    assert caller.call("deploy", file="report.tar.gz").code == 0
    fake.requests.clear()
    assert "Nothing to upload" in caller.call("deploy", file="report.tar.gz").stderr
    assert changes(fake) == []


LINES = {
    "fastapi": False,
    "fastapi>=0.100": False,
    "fastapi==0.100.*": False,
    "fastapi @ git+https://example.com/fastapi@main": False,
    "-r more.txt": False,
    "-c more.txt": False,
    "not a requirement": False,
    "--index-url https://example.com/simple\nfastapi==0.100.0 ; python_version > '3'": True,
    "fastapi==0.100.0 \\\n    --hash=sha256:0": True,
    "# nothing": True,
}


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("line", LINES)
def test_packages_that_are_not_pinned_are_installed_anew(caller: Caller, line: str) -> None:
    files = {**APP, "requirements.txt": line.encode(), "more.txt": b"fastapi==0.100.0\n"}
    sample_bundle(caller.folder / "open.tar.gz", files=files)
    for _ in range(2):
        done = caller.call("deploy", file="open.tar.gz")
        assert done.code == 0, done.said
    assert ("Nothing to upload" in done.stderr) is LINES[line]
    assert ("not all pinned: it is uploaded" in done.stderr) is not LINES[line]


@pytest.mark.parametrize("pinned", [True, False])
def test_so_are_those_of_a_project(
    caller: Caller, fake: FakeConnect, root: Path, *, pinned: bool
) -> None:
    """Here the lock's reader knows, also what an included file pins."""
    (root / "requirements.txt").write_text("-c pins.txt\nstarlette>=0.45\n", encoding="utf-8")
    pins = "starlette==0.45.0\n" if pinned else "anyio==4.0\n"
    (root / "pins.txt").write_text(pins, encoding="utf-8")
    assert deploy(caller, root).code == 0
    assert ("Nothing to upload" in deploy(caller, root).stderr) is pinned
    (content,) = fake.contents.values()
    assert len(content.bundles) == (1 if pinned else 2)


@pytest.mark.parametrize(
    "options", [{"force": True}, {"metadata": ("a=b",)}, {"draft": True}, {"new": True}]
)
def test_it_is_uploaded_if_that_is_asked_for(
    caller: Caller,
    fake: FakeConnect,
    root: Path,
    deployed: FakeContent,
    options: dict[str, object],
) -> None:
    assert deploy(caller, root, **options).code == 0
    assert "bundles" in changes(fake)
    assert len(deployed.bundles) == (1 if "new" in options else 2)


def test_a_change_is_uploaded(
    caller: Caller, fake: FakeConnect, root: Path, deployed: FakeContent
) -> None:
    (root / "app.py").chmod(0o755)
    assert deploy(caller, root).code == 0
    (root / "app.py").write_text("async def app(*_): pass\n", encoding="utf-8")
    assert deploy(caller, root).code == 0
    assert len(deployed.bundles) == 3
    assert changes(fake).count("bundles") == 2


@pytest.mark.usefixtures("deployed")
def test_a_prepared_folder_is_the_same_as_the_build(
    caller: Caller, fake: FakeConnect, root: Path
) -> None:
    folder = caller.call("manifest", directory=str(root)).stdout.strip()
    archive = caller.call("bundle", directory=str(root)).stdout.strip()
    for prepared in (folder, archive):
        assert "Nothing to upload" in deploy(caller, root, file=prepared).stderr
    assert changes(fake) == []


class TestWhatIsActive:
    """The server says which bundle is active, the history and the bundle what that one is."""

    def second(self, caller: Caller, root: Path) -> None:
        (root / "app.py").write_text("async def app(*_): pass\n", encoding="utf-8")
        assert deploy(caller, root).code == 0

    def test_another_one_was_activated_in_the_dashboard(
        self, caller: Caller, root: Path, deployed: FakeContent
    ) -> None:
        first = deployed.bundle_id
        self.second(caller, root)
        deployed.bundle_id = first
        assert "Uploading" in deploy(caller, root).stderr
        assert len(deployed.bundles) == 3

    def test_it_was_activated_in_the_dashboard(
        self, caller: Caller, root: Path, deployed: FakeContent
    ) -> None:
        text = (root / "app.py").read_text(encoding="utf-8")
        first = deployed.bundle_id
        self.second(caller, root)
        deployed.bundle_id = first
        (root / "app.py").write_text(text, encoding="utf-8")
        assert NOTHING.format(first) in deploy(caller, root).stderr

    def test_it_was_removed(self, caller: Caller, root: Path, deployed: FakeContent) -> None:
        deployed.bundles.clear()
        deployed.bundle_id = None
        assert "Uploading" in deploy(caller, root).stderr

    def test_somebody_else_uploaded_one(
        self, caller: Caller, root: Path, deployed: FakeContent
    ) -> None:
        bundle = deployed.bundles.pop(deployed.bundle_id or "")
        bundle.id, bundle.metadata = "99", {}
        deployed.bundles[bundle.id], deployed.bundle_id = bundle, bundle.id
        assert "Uploading" in deploy(caller, root).stderr

    def test_a_draft_was_activated_later(
        self, caller: Caller, root: Path, deployed: FakeContent
    ) -> None:
        (root / "app.py").write_text("async def app(*_): pass\n", encoding="utf-8")
        assert deploy(caller, root, draft=True).code == 0
        draft = max(deployed.bundles, key=int)
        done = caller.call("rollback", directory=str(root), bundle_id=draft)
        assert done.code == 0, done.said
        assert NOTHING.format(draft) in deploy(caller, root).stderr

    @pytest.mark.parametrize("text", ["{", "[]", '{"x": 1}'])
    def test_a_history_that_is_broken_is_done_without(
        self, caller: Caller, root: Path, deployed: FakeContent, text: str
    ) -> None:
        folder = caller.folder / "home" / ".rsconnect-python" / "applications"
        (history,) = folder.glob("*.history")
        history.write_text(text, encoding="ascii")
        done = deploy(caller, root)
        assert done.code == 0, done.said
        assert NOTHING.format(deployed.bundle_id) in done.stderr

    def test_it_is_fetched_from_git_by_now(
        self, caller: Caller, fake: FakeConnect, root: Path, deployed: FakeContent
    ) -> None:
        deployed.git = True
        for done in (deploy(caller, root), deploy(caller, root, environment=("A=1",))):
            assert done.code == 3, done.said
            assert "fetched from git" in done.stderr
        forget(caller)
        (root / "app.py").write_text("async def app(*_): pass\n", encoding="utf-8")
        done = deploy(caller, root)
        assert done.code == 3, done.said
        assert "fetched from git" in done.stderr
        assert changes(fake) == []


def test_the_way_back_stays_known(caller: Caller, root: Path, deployed: FakeContent) -> None:
    first = deployed.bundle_id
    (root / "app.py").write_text("async def app(*_): pass\n", encoding="utf-8")
    assert deploy(caller, root).code == 0
    for _ in range(3):
        assert "Nothing to upload" in deploy(caller, root).stderr
    folder = caller.folder / "home" / ".rsconnect-python" / "applications"
    (history,) = folder.glob("*.history")
    (noted,) = json.loads(history.read_text("utf-8")).values()
    assert len(noted["contents"][deployed.guid]) == 2
    done = caller.call("rollback", directory=str(root))
    assert done.code == 0, done.said
    assert deployed.bundle_id == first


def test_the_last_of_two_for_the_same_content_is_active_in_the_end(
    caller: Caller, root: Path, deployed: FakeContent
) -> None:
    tables = "".join(
        f"[tool.hatch-connect.content.{name}]\nentrypoint = '{name}:app'\n"
        f"guid = '{deployed.guid}'\n"
        for name in ("app", "two")
    )
    (root / "pyproject.toml").write_text(TABLE.replace('entrypoint = "app:app"\n', tables), "utf-8")
    (root / "two.py").write_text("async def app(*_): ...\n", encoding="utf-8")
    for _ in range(2):
        done = deploy(caller, root, all=True, json=True)
        assert done.code == 0, done.said
        first, second = json.loads(done.stdout)["contents"]
        assert first["uploaded"]
        assert deployed.bundle_id == second["bundle_id"]


def test_one_of_several_is_unchanged(caller: Caller, fake: FakeConnect, root: Path) -> None:
    tables = "".join(
        f"[tool.hatch-connect.content.{name}]\nentrypoint = '{name}:app'\n"
        f"exclude = ['/{other}.py']\n"
        for name, other in (("app", "two"), ("two", "app"))
    )
    (root / "pyproject.toml").write_text(TABLE.replace('entrypoint = "app:app"\n', tables), "utf-8")
    (root / "two.py").write_text("async def app(*_): ...\n", encoding="utf-8")
    assert deploy(caller, root, all=True).code == 0
    (root / "two.py").write_text("async def app(*_): pass\n", encoding="utf-8")
    fake.requests.clear()
    done = deploy(caller, root, all=True, json=True)
    assert [c["uploaded"] for c in json.loads(done.stdout)["contents"]] == [False, True]
    assert changes(fake) == ["bundles", "deploy", "deploy"]
