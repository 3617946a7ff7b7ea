"""Who may see content while its settings change: nobody too much, and nobody too little."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from support.fake_content import FakeContent
from support.faults import Say

if TYPE_CHECKING:
    from support.calling import Caller
    from support.fake_connect import FakeConnect

ACCESS = {"acl": "acl", "logged-in": "logged_in", "all": "all"}
NAMED = ((), ("ann",), ("group:team",))
STATES = tuple(itertools.product(ACCESS, NAMED))


def declare(caller: Caller, access: str, viewers: tuple[str, ...], app: str) -> str:
    root = caller.folder / "sales"
    root.mkdir(exist_ok=True)
    quoted = ", ".join(f'"{name}"' for name in viewers)
    (root / "pyproject.toml").write_text(
        '[tool.hatch-connect]\napp-mode = "fastapi"\nentrypoint = "app:app"\n'
        f'[tool.hatch-connect.settings]\naccess = "{access}"\nviewers = [{quoted}]\n',
        encoding="utf-8",
    )
    (root / "app.py").write_text(f"# {app}\nasync def app(*_): ...\n", encoding="utf-8")
    (root / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    (root / ".python-version").write_text("3.12\n", encoding="utf-8")
    return str(root)


@pytest.fixture
def people(fake: FakeConnect) -> dict[str, str]:
    return {
        "ann": fake.settings.add_user("ann"),
        "eve": fake.settings.add_user("eve"),
        "group:team": fake.settings.add_group("team"),
    }


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("before", STATES, ids=str)
def test_each_moment_lets_in_who_may_see_it_before_or_after(
    caller: Caller,
    fake: FakeConnect,
    people: dict[str, str],
    before: tuple[str, tuple[str, ...]],
    *,
    fails: bool,
) -> None:
    for number, after in enumerate(STATES):
        content = fake.add_content(f"sales{number}", app_mode="python-fastapi")
        content.fields["access_type"] = ACCESS[before[0]]
        for name in before[1]:
            fake.settings.permit(content, people[name])
        may_see = fake.settings.visitors(content)
        root = declare(caller, *after, app=f"{number}")
        fake.settings.seen.clear()
        if fails:
            fake.misbehave("POST", f"{content.guid}/deploy$", Say(403, b"{}"), skip=1)
        done = caller.call("deploy", directory=root, app_id=content.guid, allow_removals=True)
        assert done.code == (3 if fails else 0), done.said
        named = {people[name] for name in after[1]}
        then = (
            fake.settings.visitors(
                FakeContent("", "", "", content.owner, "", fields={"access_type": ACCESS[after[0]]})
            )
            | named
        )
        for call, moment in fake.settings.seen:
            assert may_see & then <= moment <= may_see | then, (after, call)
            assert call or moment <= then, (after, "activated")
        assert fake.settings.visitors(content) == (may_see if fails else then), after
        if not fails:
            assert {p["principal_guid"] for p in content.permissions} == named
            assert content.fields["access_type"] == ACCESS[after[0]]
