"""Connect's JSON as dataclasses.

They have the fields that this package uses and ignore the rest, so that a newer server's answers
are read as well as an older one's.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from hatch_connect.connect.json_reader import MAY_BE_EMPTY, FromJson

if TYPE_CHECKING:
    from hatch_connect.connect.json_reader import JsonObject


class Feature(enum.Enum):
    """A feature that some servers still in use lack; the value is the first version that has it."""

    BUNDLE_METADATA = (2025, 12)
    DRAFT_URL = (2025, 7)  # a draft can be visited
    DRAFT = (2025, 6)  # the field `activate` is known
    PYTHON_REQUIRES = (2025, 3)
    INTEGRATIONS = (2024, 12)  # OAuth integrations of content ...
    SEVERAL_INTEGRATIONS = (2025, 7)  # noqa: PIE796 - ... and more than one
    THUMBNAIL = (2024, 9)


# App modes that Connect gained late, with the first version that runs them (release notes).
_APP_MODES = {"python-gradio": (2024, 12), "python-panel": (2025, 10), "nodejs": (2026, 4)}
_VERSION = re.compile(r"v?(\d{4})\.(\d{1,2})(?!\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings(FromJson):
    """What a server says of itself; `version` is "" if the administrator hides it."""

    version: str = ""

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
class User(FromJson):
    """The user of an API key."""

    guid: str
    username: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    role: str = field(default="", metadata={"key": "user_role"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonInstallation(FromJson):
    """A Python that the server can run content with; in an image if it has images.

    One that is not `publishable` is kept for content that runs with it, and takes no bundles.
    """

    version: str
    image: str | None = field(default=None, metadata={"key": "image_name"})
    publishable: bool = True


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
        installations = python.objects("installations") if python else ()
        return cls(
            name=name,
            title=answer.optional_string("title") or name,
            pythons=tuple(each.string("version") for each in installations),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Content(FromJson):
    """A piece of content.

    `id` is the number that older clients know it by. `app_mode` is "unknown" before the first
    deployment, which also settles `category` and `parameterized`: None if the server does not tell
    them. `app_role` is this key's: owner, editor, viewer or none; `bundle_id` is the active
    bundle's, None before the first activation.
    """

    guid: str
    name: str = ""
    title: str | None = field(default=None, metadata=MAY_BE_EMPTY)
    id: str = ""
    app_mode: str = "unknown"
    category: str | None = field(default=None, metadata={"key": "content_category"} | MAY_BE_EMPTY)
    parameterized: bool | None = None
    owner_guid: str = ""
    app_role: str = ""
    content_url: str = ""
    dashboard_url: str = ""
    locked: bool = False
    locked_message: str = ""
    bundle_id: str | None = None
    image: str | None = field(default=None, metadata={"key": "default_image_name"})
    python_version: str | None = field(default=None, metadata={"key": "py_version"})
    last_deployed_time: str | None = None

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
class BundleInfo(FromJson):
    """A bundle on the server; `archive_md5` (hexadecimal) is None if the server does not tell.

    `metadata` is what was sent with the upload (source_commit and so on), less the archive's
    digests. Whether it is active the content says (`bundle_id`): not every server says it here.
    """

    id: str
    created_time: str = ""
    size: int | None = None
    archive_md5: str | None
    metadata: tuple[tuple[str, str], ...]

    @classmethod
    def from_answer(cls, answer: JsonObject) -> Self:
        """Read a bundle."""
        metadata = answer.child("metadata")
        known = dict(metadata.pairs()) if metadata else {}
        md5 = known.pop("archive_md5", None) or None
        known.pop("archive_sha1", None)
        return cls.read(
            answer,
            archive_md5=md5.lower() if md5 else None,
            metadata=tuple(sorted(known.items())),
        )

    @property
    def number(self) -> int:
        """The order of the uploads: ids are numbers that grow."""
        return _number(self.id)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPackage(FromJson):
    """A package that the server installed for content; `language` is "python" or "r"."""

    language: str
    name: str
    version: str
    language_version: str = ""
    bundle_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStatus(FromJson):
    """A task: `output` holds the log lines from the one asked for; `last` is the next to ask for.

    `code` and `error` mean something when `finished`; code 0 is success.
    """

    id: str = ""
    output: tuple[str, ...]
    last: int
    finished: bool = False
    code: int = 0
    error: str = ""

    @classmethod
    def from_answer(cls, answer: JsonObject, *, first: int = 0) -> Self:
        """Read a task whose log was asked for from line `first`."""
        output = answer.strings("output")
        last = answer.optional_integer("last")
        end = first + len(output) if last is None else last
        return cls.read(answer, output=output, last=end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(FromJson):
    """A process that the server started for content.

    `exit_code` and `end_time` are None while it runs. `status` is 0 while it runs, 1 when it has
    finished, 2 when its log is complete too, 3 if it was skipped, None if the server does not tell.
    """

    id: str = ""  # digits, on some servers other text
    key: str
    tag: str = ""
    bundle_id: str | None = None
    start_time: str = ""
    end_time: str | None = None
    exit_code: int | None = None
    status: int | None = None

    @property
    def order(self) -> tuple[str, int]:
        """What grows with time: as text a fraction of a second is greater only without the Z."""
        return self.start_time.removesuffix("Z"), _number(self.id)

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        if self.status is None:
            return self.end_time is None and self.exit_code is None
        return self.status == 0

    @property
    def may_write(self) -> bool:
        """Whether its log may still grow."""
        return self.runs or self.status == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry(FromJson):
    """One line of a job's log; `source` is stdout or stderr."""

    source: str = ""
    timestamp: str | None = None
    data: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis(FromJson):
    """What Connect itself says of why a job failed, and where it says more."""

    code: str = ""
    summary: str
    help_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What content answered when looked at: the beginning of its `body`, `text` fit for a person.

    `url` is where the visit ended: where it was sent on to, also if that was not followed. `code`
    is Connect's own, if it was Connect that answered. `doubt` says why the visit does not show
    that the content is alive; "" if it does.
    """

    url: str
    status: int
    text: str
    code: int | None = None
    doubt: str = ""
    body: bytes = field(default=b"", repr=False)
