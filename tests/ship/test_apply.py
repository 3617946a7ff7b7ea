"""Changes of what is declared, made and put back on a server on 127.0.0.1."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.connecting import hurry
from support.fake_connect import FakeConnect
from support.faults import Drop, Say

from hatch_connect.connect.client import ConnectClient
from hatch_connect.connect.credentials import ApiKey
from hatch_connect.connect.servers import Server
from hatch_connect.errors import RefusedError, ServerError
from hatch_connect.events import silent
from hatch_connect.project.declared import DeclaredField
from hatch_connect.secret import Secret
from hatch_connect.ship.apply import AppliedSettings
from hatch_connect.ship.declared import (
    ContentState,
    Resolved,
    SettingChange,
    TagTree,
    WantedSettings,
    differences,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.fake_content import FakeContent

    from hatch_connect.connect.content_settings import Integration, Principal, Scalar, Tag

PICTURES = (b"\x89PNG\r\n\x1a\n one", b"\x89PNG\r\n\x1a\n two")


def field(name: str, value: Scalar) -> DeclaredField:
    key = name.replace("_", "-")
    return DeclaredField(key=key, name=name, value=value, called=f"`settings.{key}`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bed:
    """A server with people, tags and integrations, and a client."""

    fake: FakeConnect
    client: ConnectClient
    people: tuple[Principal, ...]
    tags: tuple[Tag, ...]
    integrations: tuple[Integration, ...]
    numbers: Iterator[int]

    def content(self) -> FakeContent:
        return self.fake.add_content(f"content-{next(self.numbers)}")

    def state(self, guid: str) -> ContentState:
        """Ask the server for everything that content has."""
        ask = self.client.settings
        details = ask.details(guid, ("tags", "vanity_url"))
        return ContentState(
            fields=details.fields,
            permissions=ask.permissions(guid),
            tags=details.tags or (),
            vanity_path=details.vanity_path,
            thumbnail=ask.thumbnail(guid),
            integrations=ask.content_integrations(guid),
        )

    def changes(self, guid: str, wanted: WantedSettings) -> tuple[SettingChange, ...]:
        return differences(wanted, self.state(guid), TagTree(self.client.settings.tags()))

    def applied(self, guid: str, changes: tuple[SettingChange, ...]) -> AppliedSettings:
        applied = AppliedSettings(self.client, silent)
        applied.apply(guid, changes)
        return applied


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    with FakeConnect() as fake, pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        known = fake.settings
        known.shows_thumbnails = True
        for name in ("ann", "bob"):
            known.add_user(name)
        known.add_group("analysts")
        known.add_tag("Department/Finance/Taxes")
        known.add_tag("Department/Sales")
        known.add_integration("Databricks")
        known.add_integration("Snowflake")
        server = Server(url=fake.url, credential=ApiKey(Secret(fake.api_key)), source="a test")
        client = ConnectClient(server, environ={}, report=silent)
        ask = client.settings
        yield Bed(
            fake=fake,
            client=client,
            people=(*ask.users("ann"), *ask.users("bob"), *ask.groups("analysts")),
            tags=tuple(tag for tag in ask.tags() if tag.parent_id),
            integrations=ask.integrations(),
            numbers=itertools.count(),
        )


@st.composite
def wanted_of(draw: st.DrawFn, bed: Bed) -> WantedSettings:
    """Return all that can be declared, with whole lists."""

    def some(key: str, entries: tuple[object, ...]) -> Resolved[object]:
        chosen = tuple(entry for entry in entries if draw(st.booleans()))
        return Resolved(key=key, called=f"`settings.{key}`", whole=True, entries=chosen)

    image = draw(st.sampled_from([None, *PICTURES]))
    return WantedSettings(
        fields=(
            field("access_type", draw(st.sampled_from(["acl", "logged_in", "all"]))),
            field("description", draw(st.sampled_from(["", "Sales"]))),
            field("memory_limit", draw(st.sampled_from([None, 1 << 30]))),
        ),
        viewers=some("viewers", bed.people),  # type: ignore[arg-type] # as the entries
        collaborators=some("collaborators", bed.people),  # type: ignore[arg-type]
        tags=some("tags", bed.tags),  # type: ignore[arg-type]
        integrations=some("integrations", bed.integrations),  # type: ignore[arg-type]
        vanity_path=field("vanity_path", None),
        thumbnail=field("thumbnail", "a.png" if image else None),
        image=image,
    )


def comparable(content: FakeContent) -> object:
    known = {"access_type": "acl", **content.fields}
    fields = {name: value for name, value in known.items() if value not in {None, ""}}
    roles = {(each["principal_guid"], each["role"]) for each in content.permissions}
    tags, path, picture = content.tags - {"1"}, content.vanity, content.thumbnail
    return fields, roles, tags, set(content.integrations), path, picture


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_was_changed_is_put_back(bed: Bed, data: st.DataObject) -> None:
    content = bed.content()
    bed.applied(content.guid, bed.changes(content.guid, data.draw(wanted_of(bed))))
    before = comparable(content)
    changes = bed.changes(content.guid, data.draw(wanted_of(bed)))
    made = changes[: data.draw(st.integers(0, 12))]
    applied = bed.applied(content.guid, made)
    assert sorted(map(str, applied.changes)) == sorted(map(str, made))
    applied.put_back(content.guid)
    assert comparable(content) == before
    assert applied.changes == ()
    assert [line for line in applied.remains() if "restored" not in line] == []


def test_all_fields_go_in_one_request_and_all_integrations_in_another(bed: Bed) -> None:
    content = bed.content()
    every = Resolved(key="i", called="`i`", whole=True, entries=bed.integrations)
    values = (field("description", "Sales"), field("access_type", "all"))
    changes = bed.changes(content.guid, WantedSettings(fields=values, integrations=every))
    bed.fake.requests.clear()
    bed.applied(content.guid, changes)
    assert [request.method for request in bed.fake.requests] == ["PUT", "PATCH"]


def test_one_that_cannot_be_put_back_does_not_keep_the_others(bed: Bed) -> None:
    content = bed.content()
    viewers = Resolved(key="viewers", called="`viewers`", whole=True, entries=bed.people)
    values = (field("description", "Sales"),)
    changes = bed.changes(content.guid, WantedSettings(fields=values, viewers=viewers))
    applied = bed.applied(content.guid, changes)
    bed.fake.misbehave("PATCH", content.guid, Say(403, b'{"code": 21, "error": "not now"}'))
    applied.put_back(content.guid)
    assert content.permissions == []
    assert [change.key for change in applied.changes] == ["description"]
    stays, why, back = applied.remains()
    assert "description none -> Sales" in stays
    assert "not now" in why
    assert "viewers + ann" in back


@pytest.mark.parametrize("fault", [Say(403, b'{"code": 22, "error": "no"}'), Drop()])
def test_a_request_whose_answer_is_lost_is_put_back_as_well(bed: Bed, fault: Say | Drop) -> None:
    content = bed.content()
    changes = bed.changes(content.guid, WantedSettings(fields=(field("description", "Sales"),)))
    applied = AppliedSettings(bed.client, silent)
    refused = isinstance(fault, Say)
    bed.fake.misbehave("PATCH", content.guid, fault, times=1 if refused else 6)
    with pytest.raises(
        RefusedError if refused else ServerError, match=r"`settings\.description`: "
    ):
        applied.apply(content.guid, changes)
    assert [line[:12] for line in applied.remains()] == ([] if refused else ["its settings"])
    bed.fake.requests.clear()
    applied.put_back(content.guid)
    assert [request.method for request in bed.fake.requests] == ([] if refused else ["PATCH"])
