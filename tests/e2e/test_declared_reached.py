"""Any settings are reached from any others by one deployment, and nothing else is touched."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fake_connect import FakeConnect

if TYPE_CHECKING:
    from pathlib import Path

    from support.calling import Caller

# What may be declared, with Connect's field and value.
FIELDS: dict[str, dict[object, tuple[str, object]]] = {
    "access": {
        "acl": ("access_type", "acl"),
        "logged-in": ("access_type", "logged_in"),
        "all": ("access_type", "all"),
    },
    "description": {text: ("description", text) for text in ("", "Sales ö")},
    "min-processes": {number: ("min_processes", number) for number in (0, 2)},
    "max-processes": {3: ("max_processes", 3), "default": ("max_processes", None)},
    "load-factor": {number: ("load_factor", number) for number in (0.5, 1)},
    "memory-limit": {
        "2 GiB": ("memory_limit", 2 << 30),
        1_000_000_000: ("memory_limit", 1_000_000_000),
        "default": ("memory_limit", None),
    },
}
PEOPLE = ("ann", "bob", "group:team")
TAGS = ("Department/Sales", "Department/Finance", "Department/Finance/Taxes")
INTEGRATIONS = ("Databricks", "Snowflake")
PICTURES = (b"\x89PNG\r\n\x1a\n one", b"\x89PNG\r\n\x1a\n two")

some_of = {
    name: st.sets(st.sampled_from(all_)).map(sorted)
    for name, all_ in (("people", PEOPLE), ("tags", TAGS), ("integrations", INTEGRATIONS))
}


@dataclass(frozen=True, kw_only=True)
class State:
    """What content has before."""

    fields: dict[str, object]
    roles: dict[str, str]
    tags: list[str]
    integrations: list[str]
    vanity: str | None
    thumbnail: bytes | None


states = st.builds(
    State,
    fields=st.fixed_dictionaries(
        {}, optional={k: st.sampled_from([*v.values()]) for k, v in FIELDS.items()}
    ).map(lambda found: dict(found.values())),
    roles=st.dictionaries(st.sampled_from(PEOPLE), st.sampled_from(["viewer", "owner"])),
    tags=some_of["tags"],
    integrations=some_of["integrations"],
    vanity=st.sampled_from([None, "/old/"]),
    thumbnail=st.sampled_from([None, PICTURES[0]]),
)
declarations = st.fixed_dictionaries(
    {},
    optional={
        **{key: st.sampled_from([*values]) for key, values in FIELDS.items()},
        "viewers": some_of["people"],
        "collaborators": some_of["people"],
        "tags": some_of["tags"],
        "integrations": some_of["integrations"],
        "vanity-path": st.sampled_from(["/sales/", "/old/", False]),
        "thumbnail": st.sampled_from(["0.png", "1.png", False]),
    },
)


class Server:
    """A server with people, tags and integrations, and one piece of content."""

    def __init__(self, fake: FakeConnect, has: State) -> None:
        self.fake, known = fake, fake.settings
        self.people = {
            name: known.add_group("team") if ":" in name else known.add_user(name)
            for name in PEOPLE
        }
        self.tags = {path: known.add_tag(path) for path in TAGS}
        self.integrations = {name: known.add_integration(name) for name in INTEGRATIONS}
        self.content = fake.add_content("sales", app_mode="python-fastapi")
        self.content.fields |= has.fields
        for name, role in has.roles.items():
            known.permit(self.content, self.people[name], role)
        self.content.tags |= self.with_those_above(has.tags)
        self.content.integrations += [self.integrations[name] for name in has.integrations]
        self.content.vanity, self.content.thumbnail = has.vanity, has.thumbnail

    def with_those_above(self, paths: list[str]) -> set[str]:
        """Return the ids of tags, and of what they are below."""
        lines = (path.split("/") for path in paths)
        above = {"/".join(line[:n]) for line in lines for n in range(1, len(line) + 1)}
        return {self.fake.settings.add_tag(path) for path in above}

    def state(self) -> dict[str, object]:
        """Return what the content has, by the keys that declare it."""
        told, roles = self.content.told(), self.content.permissions
        names = {guid: name for name, guid in {**self.people, **self.integrations}.items()}
        found: dict[str, object] = {
            key: told[next(iter(values.values()))[0]] for key, values in FIELDS.items()
        }
        for key, role in (("viewers", "viewer"), ("collaborators", "owner")):
            having = (p["principal_guid"] for p in roles if p["role"] == role)
            found[key] = {names[guid] for guid in having}
        return found | {
            "tags": {n for n in self.content.tags if self.fake.settings.tags[n]["parent_id"]},
            "integrations": {names[guid] for guid in self.content.integrations},
            "vanity-path": self.content.vanity,
            "thumbnail": self.content.thumbnail,
        }

    def wanted(self, declared: dict[str, object], has: dict[str, object]) -> dict[str, object]:
        """Return what the content must have in the end."""
        found = dict(has)
        for key, value in declared.items():
            if key in FIELDS:
                found[key] = FIELDS[key][value][1]
            elif key == "tags":
                tags = self.with_those_above(list_of(value))
                found[key] = {n for n in tags if self.fake.settings.tags[n]["parent_id"]}
            elif key == "thumbnail":
                found[key] = PICTURES[int(str(value)[0])] if value else None
            else:
                found[key] = set(list_of(value)) if isinstance(value, list) else value or None
        found["viewers"] = set_of(found["viewers"]) - set_of(found["collaborators"])
        return found


def list_of(value: object) -> list[str]:
    assert isinstance(value, list)
    return value


def set_of(value: object) -> set[str]:
    assert isinstance(value, set)
    return value


def write(root: Path, declared: dict[str, object]) -> None:
    root.mkdir(exist_ok=True)
    table = "".join(f"{key} = {json.dumps(value)}\n" for key, value in declared.items())
    (root / "pyproject.toml").write_text(
        '[tool.hatch-connect]\napp-mode = "fastapi"\nentrypoint = "app:app"\n'
        f"[tool.hatch-connect.settings]\n{table}",
        encoding="utf-8",
    )
    (root / "app.py").write_text("async def app(*_): ...\n", encoding="utf-8")
    (root / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    (root / ".python-version").write_text("3.12\n", encoding="utf-8")
    for number, picture in enumerate(PICTURES):
        (root / f"{number}.png").write_bytes(picture)


@given(has=states, declared=declarations)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_one_deployment_reaches_what_is_declared_and_touches_nothing_else(
    caller: Caller, has: State, declared: dict[str, object]
) -> None:
    root = caller.folder / "sales"
    write(root, declared)
    with FakeConnect() as fake:
        caller.knows(fake)
        fake.settings.shows_thumbnails = True
        server = Server(fake, has)
        wanted = server.wanted(declared, server.state())
        call = {"directory": str(root), "app_id": server.content.guid}

        done = caller.call("deploy", **call, allow_removals=True)
        assert done.code == 0, done.said
        assert server.state() == wanted

        fake.settings.audit.clear()
        assert caller.call("deploy", **call).code == 0
        assert caller.call("plan", **call, check=True).code == 0
        assert fake.settings.audit == []
