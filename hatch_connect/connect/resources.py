"""Connect's JSON as dataclasses.

Each `from_answer` takes the fields that this package uses and ignores the rest, so that a newer
server's answers are read as well as an older one's.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from .json_reader import JsonObject


class Feature(enum.Enum):
    """A feature that some servers still in use lack; the value is the first version that has it."""

    BUNDLE_METADATA = (2025, 12)
    DRAFT_URL = (2025, 7)  # a draft can be visited
    DRAFT = (2025, 6)  # the field `activate` is known
    PYTHON_REQUIRES = (2025, 3)


# App modes that Connect gained late, with the first version that runs them (release notes).
_APP_MODES = {"python-gradio": (2024, 12), "python-panel": (2025, 10), "nodejs": (2026, 4)}
_VERSION = re.compile(r"v?(\d{4})\.(\d{1,2})(?!\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What a server says of itself; `version` is "" if the administrator hides it."""

    version: str

    @classmethod
    def from_answer(cls, answer: JsonObject) -> Self:
        """Read the answer to `server_settings`."""
        return cls(version=answer.optional_string("version") or "")

    def supports(self, feature: Feature) -> bool | None:
        """Return whether the server has a feature; None if its version does not tell."""
        return self._reaches(feature.value)

    def runs_since(self, app_mode: str) -> str | None:
        """Return the first version that runs an app mode, if this server's is older than that."""
        first = _APP_MODES.get(app_mode)
        if first is None or self._reaches(first) is not False:
            return None
        return f"{first[0]}.{first[1]:02}"

    def _reaches(self, first: tuple[int, int]) -> bool | None:
        match = _VERSION.match(self.version)
        return None if match is None else (int(match[1]), int(match[2])) >= first


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """The user of an API key."""

    guid: str
    username: str
    first_name: str
    last_name: str
    email: str
    role: str

    @classmethod
    def from_answer(cls, answer: JsonObject) -> Self:
        """Read a user."""
        return cls(
            guid=answer.string("guid"),
            username=answer.string("username"),
            first_name=answer.optional_string("first_name") or "",
            last_name=answer.optional_string("last_name") or "",
            email=answer.optional_string("email") or "",
            role=answer.optional_string("user_role") or "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonInstallation:
    """A Python that the server can run content with; in an image if it has images.

    One that is not `publishable` is kept for content that runs with it, and takes no bundles.
    """

    version: str
    image: str | None
    publishable: bool = True

    @classmethod
    def from_answer(cls, answer: JsonObject) -> Self:
        """Read one of the `installations`."""
        return cls(
            version=answer.string("version"),
            image=answer.optional_string("image_name") or None,
            publishable=answer.boolean("publishable", default=True),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionEnvironment:
    """An image that content can run in; `name` is what a manifest asks for."""

    name: str
    title: str
    pythons: tuple[str, ...]

    @classmethod
    def from_answer(cls, answer: JsonObject) -> Self:
        """Read one of `v1/environments`."""
        name = answer.string("name")
        python = answer.child("python")
        return cls(
            name=name,
            title=answer.optional_string("title") or name,
            pythons=tuple(p.string("version") for p in python.objects("installations"))
            if python
            else (),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A piece of content.

    `id` is the number that older clients know it by. `app_mode` is "unknown" before the first
    deployment, which also settles `category` and `parameterized`: None if the server does not tell
    them. `app_role` is this key's: owner, editor, viewer or none; `bundle_id` is the active
    bundle's, None before the first activation.
    """

    guid: str
    name: str
    title: str | None
    id: str
    app_mode: str
    category: str | None = None
    parameterized: bool | None = None
    owner_guid: str
    app_role: str
    content_url: str
    dashboard_url: str
    locked: bool
    locked_message: str
    bundle_id: str | None
    image: str | None
    python_version: str | None
    last_deployed_time: str | None

    @classmethod
    def from_answer(cls, answer: JsonObject) -> Self:
        """Read content as `v1/content` gives it."""
        return cls(
            guid=answer.string("guid"),
            name=answer.optional_string("name") or "",
            title=answer.optional_string("title"),
            id=answer.optional_string("id") or "",
            app_mode=answer.optional_string("app_mode") or "unknown",
            category=answer.optional_string("content_category"),
            parameterized=answer.optional_boolean("parameterized"),
            owner_guid=answer.optional_string("owner_guid") or "",
            app_role=answer.optional_string("app_role") or "",
            content_url=answer.optional_string("content_url") or "",
            dashboard_url=answer.optional_string("dashboard_url") or "",
            locked=answer.boolean("locked", default=False),
            locked_message=answer.optional_string("locked_message") or "",
            bundle_id=answer.optional_string("bundle_id") or None,
            image=answer.optional_string("default_image_name") or None,
            python_version=answer.optional_string("py_version") or None,
            last_deployed_time=answer.optional_string("last_deployed_time") or None,
        )

    @property
    def is_editable(self) -> bool:
        """Whether this key may change it."""
        return self.app_role in {"owner", "editor"}

    @property
    def logs_url(self) -> str:
        """Where the dashboard shows the content's logs."""
        return f"{self.dashboard_url}/logs"

    def draft_url(self, bundle_id: str) -> str:
        """Where the dashboard shows a bundle that is not active."""
        return f"{self.dashboard_url}/draft/{bundle_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleInfo:
    """A bundle on the server; `archive_md5` (hexadecimal) is None if the server does not tell.

    `metadata` is what was sent with the upload (source_commit and so on), less the archive's
    digests. Whether it is active the content says (`bundle_id`): not every server says it here.
    """

    id: str
    created_time: str
    size: int | None
    archive_md5: str | None
    metadata: tuple[tuple[str, str], ...]

    @classmethod
    def from_answer(cls, answer: JsonObject) -> Self:
        """Read a bundle."""
        metadata = answer.child("metadata")
        told = dict(metadata.pairs()) if metadata else {}
        md5 = told.pop("archive_md5", None) or None
        told.pop("archive_sha1", None)
        return cls(
            id=answer.string("id"),
            created_time=answer.optional_string("created_time") or "",
            size=answer.optional_integer("size"),
            archive_md5=md5.lower() if md5 else None,
            metadata=tuple(sorted(told.items())),
        )

    @property
    def number(self) -> int:
        """The order of the uploads: ids are numbers that grow."""
        return int(self.id) if self.id.isdecimal() else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStatus:
    """A task: `output` holds the log lines from the one asked for; `last` is the next to ask for.

    `code` and `error` mean something when `finished`; code 0 is success.
    """

    id: str
    output: tuple[str, ...]
    last: int
    finished: bool
    code: int
    error: str

    @classmethod
    def from_answer(cls, answer: JsonObject, *, first: int = 0) -> Self:
        """Read a task whose log was asked for from line `first`."""
        output = answer.strings("output")
        last = answer.optional_integer("last")
        return cls(
            id=answer.optional_string("id") or "",
            output=output,
            last=first + len(output) if last is None else last,
            finished=answer.boolean("finished", default=False),
            code=answer.optional_integer("code") or 0,
            error=answer.optional_string("error") or "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A process that the server started for content; `exit_code` is None while it runs."""

    number: int
    key: str
    tag: str
    bundle_id: str | None
    start_time: str
    exit_code: int | None

    @classmethod
    def from_answer(cls, answer: JsonObject) -> Self:
        """Read one of a content's jobs."""
        number = answer.optional_string("id") or ""  # digits, on some servers other text
        return cls(
            number=int(number) if number.isdecimal() else 0,
            key=answer.string("key"),
            tag=answer.optional_string("tag") or "",
            bundle_id=answer.optional_string("bundle_id") or None,
            start_time=answer.optional_string("start_time") or "",
            exit_code=answer.optional_integer("exit_code"),
        )

    @property
    def order(self) -> tuple[str, int]:
        """What grows with time: as text a fraction of a second is greater only without the Z."""
        return self.start_time.removesuffix("Z"), self.number


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What content answered when looked at; `text` is the beginning of it, fit for a person.

    `url` is where the visit ended: where it was sent on to, also if that was not followed. `code`
    is Connect's own, if it was Connect that answered. `doubt` says why the visit does not show
    that the content is alive; "" if it does.
    """

    url: str
    status: int
    text: str
    code: int | None = None
    doubt: str = ""
