"""`prune`: which bundles go, and that what is active, or may be again, never does."""

from __future__ import annotations

import _thread
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from support.faults import Do, Drop, LoseAnswer, Say, Truncate

from hatch_connect import prune as prune_in_a_program

if TYPE_CHECKING:
    from support.calling import Called, Caller
    from support.fake_connect import FakeConnect
    from support.fake_content import FakeContent
    from support.faults import Fault

REMOVAL = r"/bundles/\d+$"
FAULTS: dict[str, Fault] = {
    "drop": Drop(),
    "lost": LoseAnswer(),
    "half": Truncate(),
    "500": Say(500, b"{}"),
    "403": Say(403, b'{"code": 22, "error": "no"}'),
}


def deploy(caller: Caller, fake: FakeConnect, **options: object) -> str:
    """Deploy a new bundle; return its id."""
    count = sum(len(content.bundles) for content in fake.contents.values())
    caller.bundle(f"print({count})\n")
    done = caller.deploy(**options)
    assert done.code == 0, done.said
    (content,) = fake.contents.values()
    return max(content.bundles, key=int)


@pytest.fixture
def content(caller: Caller, fake: FakeConnect) -> FakeContent:
    """Content with three bundles that were active one after the other, and three drafts."""
    for _ in range(3):
        deploy(caller, fake)
    (found,) = fake.contents.values()
    for _ in range(3):
        deploy(caller, fake, draft=True)
    return found


def prune(caller: Caller, content: FakeContent, **options: object) -> Called:
    given = {"app_id": content.guid, "yes": True, "keep": 0}
    done = caller.call("prune", **(given | options))
    assert "Traceback" not in done.said
    return done


def ids(content: FakeContent) -> list[str]:
    return sorted(content.bundles, key=int)


def test_drafts_go_and_the_newest_stay(caller: Caller, content: FakeContent) -> None:
    *active, old, _, _ = before = ids(content)
    done = prune(caller, content, drafts=True, keep=2)
    assert done.code == 0, done.said
    assert done.stdout.split()[0] == old
    assert ids(content) == [bundle for bundle in before if bundle != old]
    assert prune(caller, content, drafts=True).code == 0
    assert ids(content) == active


def test_25_drafts_above_the_active_bundle(caller: Caller, fake: FakeConnect) -> None:
    active = deploy(caller, fake)
    drafts = [deploy(caller, fake, draft=True) for _ in range(25)]
    (content,) = fake.contents.values()
    assert prune(caller, content, drafts=True, keep=None).code == 0
    assert ids(content) == [active, *drafts[-5:]]


def test_earlier_bundles_go_but_not_the_way_back(caller: Caller, content: FakeContent) -> None:
    first, second, third, *drafts = ids(content)
    assert content.bundle_id == third
    done = prune(caller, content, bundles=True, json=True)
    assert done.code == 0, done.said
    assert ids(content) == [second, third, *drafts]
    assert json.loads(done.stdout)["removed"] == [first]
    assert caller.call("rollback", app_id=content.guid).code == 0
    assert content.bundle_id == second


def test_age_counts(caller: Caller, content: FakeContent) -> None:
    old, *young = ids(content)[3:]
    now = datetime.now(UTC)
    for bundle in young:
        content.bundles[bundle].created = (now - timedelta(days=1)).isoformat()
    content.bundles[old].created = (now - timedelta(days=8)).isoformat()
    assert prune(caller, content, drafts=True, older_than="2w").code == 0
    assert len(content.bundles) == 6
    content.bundles[young[0]].created = "long ago"
    assert prune(caller, content, drafts=True, older_than="7d").code == 0
    assert ids(content)[3:] == young
    content.bundles[young[0]].created = (now - timedelta(hours=13)).isoformat()
    assert prune(caller, content, drafts=True, older_than="14h").code == 0
    assert ids(content)[3:] == [young[0]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"drafts": False}, "--drafts, --bundles, or both"),
        ({"older_than": "7 days"}, "12h, 7d or 2w"),
        ({"older_than": "30m"}, "12h, 7d or 2w"),
        ({"older_than": "999999w"}, "12h, 7d or 2w"),
        ({"keep": -1}, "not -1"),
        ({"yes": False}, "--yes"),
    ],
)
def test_a_wrong_call_removes_nothing(
    caller: Caller, content: FakeContent, options: dict[str, object], said: str
) -> None:
    done = prune(caller, content, **({"drafts": True} | options))
    assert done.code == 2
    assert said in done.stderr
    assert len(content.bundles) == 6


def test_it_is_shown_first_and_asked(caller: Caller, content: FakeContent) -> None:
    shown = prune(caller, content, drafts=True, yes=False, dry_run=True)
    assert (shown.code, len(shown.stdout.splitlines())) == (0, 3), shown.said
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "y\n" if len(asked) > 1 else "\n"

    caller.answers = answer
    assert prune(caller, content, drafts=True, yes=False).code == 2
    assert len(content.bundles) == 6
    assert all(line in asked[0] for line in shown.stdout.splitlines())
    assert prune(caller, content, drafts=True, yes=False).code == 0
    assert len(content.bundles) == 3


def test_bundles_of_others_stay_unless_any(caller: Caller, content: FakeContent) -> None:
    draft = ids(content)[-1]
    content.bundles[draft].metadata.clear()
    done = prune(caller, content, drafts=True, json=True)
    assert done.code == 0, done.said
    assert "--any" in done.stderr
    assert json.loads(done.stdout)["unknown"] == [draft]
    assert ids(content)[3:] == [draft]
    assert prune(caller, content, drafts=True, any=True).code == 0
    assert draft not in content.bundles


def test_an_old_server_keeps_no_notes_and_nothing_is_guessed(
    caller: Caller, content: FakeContent
) -> None:
    for bundle in content.bundles.values():
        bundle.metadata.clear()
    done = prune(caller, content, drafts=True, bundles=True)
    assert (done.code, done.stdout, len(content.bundles)) == (0, "", 6), done.said
    assert "Keeping 5 of unknown origin" in done.stderr


def test_what_becomes_active_meanwhile_stays(
    caller: Caller, fake: FakeConnect, content: FakeContent
) -> None:
    first, second, _ = ids(content)[3:]

    def activate() -> None:
        content.bundle_id = second

    fake.misbehave("DELETE", REMOVAL, Do(activate))
    done = prune(caller, content, drafts=True, json=True)
    assert done.code == 0, done.said
    assert json.loads(done.stdout)["kept"] == [second]
    assert second in content.bundles
    assert first not in content.bundles


def test_what_becomes_active_at_the_last_moment_stays(
    caller: Caller, fake: FakeConnect, content: FakeContent
) -> None:
    first = ids(content)[3]

    def activate() -> None:
        content.bundle_id = first

    fake.misbehave("DELETE", REMOVAL, Do(activate))
    done = prune(caller, content, drafts=True, json=True)
    assert done.code == 0, done.said
    assert json.loads(done.stdout)["kept"] == [first]
    assert ids(content)[3:] == [first]


def test_what_somebody_else_removed_is_fine(
    caller: Caller, fake: FakeConnect, content: FakeContent
) -> None:
    first = ids(content)[3]
    fake.misbehave("DELETE", REMOVAL, Do(lambda: content.bundles.pop(first)))
    assert prune(caller, content, drafts=True).code == 0
    assert len(content.bundles) == 3


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("times", [1, 99])
def test_a_fault_at_each_request(
    caller: Caller, fake: FakeConnect, content: FakeContent, fault: str, times: int
) -> None:
    kept = ids(content)[:3]
    before = dict(content.bundles)
    fake.requests.clear()
    assert prune(caller, content, drafts=True).code == 0
    methods = [request.method for request in fake.requests]
    assert methods.count("DELETE") == 3
    for method in ("GET", "DELETE"):
        for skip in range(methods.count(method)):
            content.bundles = dict(before)
            fake.misbehave(method, "", FAULTS[fault], skip=skip, times=times)
            done = prune(caller, content, drafts=True, json=True)
            fake.recover()
            assert content.bundle_id == kept[-1]
            assert set(kept) <= set(content.bundles), done.said
            if done.code:
                assert done.stderr.count("error: ") == 1, done.said
                again = prune(caller, content, drafts=True)
                assert again.code == 0, again.said
            assert ids(content) == kept, done.said


def test_a_failure_says_what_was_removed(
    caller: Caller, fake: FakeConnect, content: FakeContent
) -> None:
    first = ids(content)[3]
    fake.misbehave("DELETE", REMOVAL, FAULTS["403"], skip=1)
    done = prune(caller, content, drafts=True, json=True)
    assert done.code == 3
    assert f"Definitely removed: {first}." in done.stderr
    (told,) = json.loads(done.stdout)["contents"]
    assert told["removed"] == [first]


def test_each_piece_of_content(caller: Caller, fake: FakeConnect) -> None:
    root = caller.folder / "several"
    root.mkdir()
    for name in ("one", "two"):
        (root / f"{name}.py").write_text("async def app(*_): ...\n", encoding="utf-8")
    tables = (
        f'[tool.hatch-connect.content.{name}]\napp-mode = "fastapi"\nentrypoint = "{name}:app"\n'
        for name in ("one", "two")
    )
    (root / "pyproject.toml").write_text("".join(tables), encoding="utf-8")
    (root / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    (root / ".python-version").write_text("3.12\n", encoding="utf-8")
    here: dict[str, object] = {"directory": str(root), "all": True}
    assert caller.call("deploy", **here).code == 0
    for _ in range(2):
        assert caller.call("deploy", draft=True, force=True, **here).code == 0
    done = caller.call("prune", drafts=True, keep=1, yes=True, json=True, **here)
    assert done.code == 0, done.said
    assert [len(each["removed"]) for each in json.loads(done.stdout)["contents"]] == [1, 1]
    assert [len(content.bundles) for content in fake.contents.values()] == [2, 2]
    shown = caller.call("prune", drafts=True, keep=0, dry_run=True, **here).stdout.splitlines()
    names = [content.name for content in fake.contents.values()]
    assert [line.partition(": ")[0] for line in shown] == names


def test_without_notes_the_history_tells(caller: Caller, fake: FakeConnect) -> None:
    root = caller.folder / "old"
    root.mkdir()
    table = '[tool.hatch-connect]\napp-mode = "fastapi"\nentrypoint = "app:app"\n'
    (root / "pyproject.toml").write_text(table, encoding="utf-8")
    (root / "app.py").write_text("async def app(*_): ...\n", encoding="utf-8")
    (root / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    (root / ".python-version").write_text("3.12\n", encoding="utf-8")
    here = {"directory": str(root)}
    fake.version = "2025.09.0"
    assert caller.call("deploy", **here).code == 0
    assert caller.call("deploy", draft=True, force=True, **here).code == 0
    (content,) = fake.contents.values()
    assert "hatch_connect_draft" not in content.bundles[ids(content)[-1]].metadata
    done = caller.call("prune", drafts=True, keep=0, yes=True, **here)
    assert done.code == 0, done.said
    assert ids(content) == [content.bundle_id]


def test_in_a_program(caller: Caller, fake: FakeConnect, content: FakeContent) -> None:
    drafts = tuple(ids(content)[3:])
    removed = prune_in_a_program(
        caller.folder,
        server=fake.url,
        api_key=fake.api_key,
        environ={"HOME": str(caller.folder)},
        app_id=content.guid,
        drafts=True,
        keep=1,
    )
    assert removed == drafts[:-1]
    assert ids(content)[3:] == [drafts[-1]]


def test_the_way_back_from_what_is_deployed_meanwhile_stays(
    caller: Caller, fake: FakeConnect, content: FakeContent
) -> None:
    first, second, third = ids(content)[3:]
    content.bundles[second].metadata.clear()

    def deploy_further() -> None:
        noted = {"hatch_connect_draft": "false", "hatch_connect_active_bundle": second}
        new = replace(content.bundles[first], id="99", metadata=noted)
        content.bundles["99"], content.bundle_id = new, "99"

    fake.misbehave("DELETE", rf"/bundles/{first}$", Do(deploy_further))
    done = prune(caller, content, drafts=True, any=True, json=True)
    assert done.code == 0, done.said
    told = json.loads(done.stdout)
    assert (told["removed"], told["kept"]) == ([first, third], [second])


def test_an_interruption_says_what_was_removed(
    caller: Caller, fake: FakeConnect, content: FakeContent
) -> None:
    first = ids(content)[3]
    fake.misbehave("DELETE", REMOVAL, Do(_thread.interrupt_main), skip=1)
    done = prune(caller, content, drafts=True)
    assert done.code == 130, done.said
    assert f"Definitely removed: {first}" in done.stderr
    assert prune(caller, content, drafts=True).code == 0
    assert len(content.bundles) == 3
