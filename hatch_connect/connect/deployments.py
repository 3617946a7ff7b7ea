"""Which content a project was deployed to, and what became of each bundle there.

The records are those that the official client keeps too, and may rewrite; the history lies beside
them in a file of our own.
"""

from __future__ import annotations

import base64
import hashlib
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hatch_connect.errors import AnswerError, StoreError
from hatch_connect.events import silent

from .answer import Answer
from .servers import config_directory
from .store import JsonFile
from .url import same_server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hatch_connect.events import Report

FOLDER = "rsconnect-python"
STORE_VERSION = 1
_LONGEST_HISTORY = 200  # attempts of one piece of content


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRecord:
    """What was deployed to one server; the fields are those of the file.

    `filename` is what was deployed (a folder's or a file's name), `app_id` the content's number.
    """

    server_url: str
    filename: str
    app_url: str
    app_id: str
    app_guid: str
    title: str | None
    app_mode: str
    app_store_version: int = STORE_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One deployment of one bundle, as far as it came.

    `draft` says that no activation was meant. `activation` is "" before there is any, "begun" from
    before the server is asked until it has answered, "done" after. `replaced` is the bundle that
    was active at that moment. `verified` is None where nobody asked whether the bundle answers.
    """

    bundle_id: str
    draft: bool = False
    activation: str = ""
    replaced: str | None = None
    verified: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPath:
    """Where a record belongs, and where it goes when that place cannot be written."""

    path: Path
    fallback: Path
    in_project: bool = True


def record_path(
    root: Path,
    content: str | None,
    *,
    environ: Mapping[str, str],
    platform: str,
    in_project: bool = True,
) -> RecordPath:
    """Return the places for the record of a project, or of one of its pieces of content.

    With `in_project` False the fallback is written, unless there is a record in the project.

    The names are the official client's: it keeps a folder's record under the folder's own name.
    """
    folder = root.absolute()
    name = content or folder.name
    # The fallback's name is derived from a file that the official client makes up for a folder.
    target = folder / f"{name}.py"
    digest = hashlib.sha1(str(target).encode(), usedforsecurity=False).digest()
    hashed = base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")
    applications = config_directory(environ, platform) / "applications"
    return RecordPath(
        path=folder / FOLDER / f"{name}.json",
        fallback=applications / f"{hashed}.json",
        in_project=in_project,
    )


class RecordStore:
    """The records of one project (or one of its contents), one a server, and their history.

    `report` is told where a file that cannot be understood had to be set aside.

    Raises:
        StoreError: from every method, where the file cannot be understood or written.

    """

    def __init__(self, place: RecordPath, report: Report = silent) -> None:
        self._place = place

        def files(ending: str) -> tuple[JsonFile, JsonFile]:
            path, fallback = (p.with_suffix(ending) for p in (place.path, place.fallback))
            # The lock is not beside the record: nothing may be left behind in a project.
            lock = fallback.with_name(f"{fallback.name}.lock")
            return (
                JsonFile(path, lock=lock, report=report),
                JsonFile(fallback, lock=lock, report=report),
            )

        self._files = files(".json")
        self._histories = files(".history")

    @property
    def path(self) -> Path:
        """The file that is read: the fallback only where it alone exists."""
        return self._current().path

    def get(self, server_url: str) -> DeploymentRecord | None:
        """Return the record for a server, however its URL was written."""
        file = self._current()
        for url, entry in file.read().items():
            if same_server(url, server_url):
                return _record(file.path, url, entry)
        return None

    def all(self) -> tuple[DeploymentRecord, ...]:
        """Return every record."""
        file = self._current()
        return tuple(_record(file.path, url, entry) for url, entry in file.read().items())

    def put(self, record: DeploymentRecord) -> Path:
        """Write the record for its server, if it is news; return the file that holds it now."""
        with suppress(StoreError):
            if self.get(record.server_url) == record:
                return self.path
        try:
            return self._write(self._files, lambda file: _put(file, record))
        except StoreError as error:
            error.hint = f"Name the content next time: --app-id {record.app_guid}"
            raise

    def attempts(self, server_url: str, guid: str) -> tuple[Attempt, ...]:
        """Return what was noted of content, the oldest attempt first."""
        found: list[object] = []
        for file in reversed(self._histories):
            for url, entry in file.read().items():
                contents = entry.get("contents") if isinstance(entry, dict) else None
                noted = contents.get(guid) if isinstance(contents, dict) else None
                if same_server(url, server_url) and isinstance(noted, list):
                    found += noted
        return tuple(filter(None, map(_attempt, found)))

    def note(self, server_url: str, guid: str, attempt: Attempt, *, again: bool) -> None:
        """Add an attempt; with `again` it takes the place of the last one on the same bundle."""

        def change(entry: dict[str, Any]) -> None:
            contents = _dict(entry, "contents")
            old = contents.get(guid)
            noted = [each for each in old if _attempt(each)] if isinstance(old, list) else []
            same = [n for n, each in enumerate(noted) if each["bundle_id"] == attempt.bundle_id]
            if again and same:
                del noted[same[-1]]
            contents[guid] = [*noted, asdict(attempt)][-_LONGEST_HISTORY:]

        self._change_history(server_url, change)

    def creating(self, server_url: str) -> str | None:
        """Return the name of content that was begun and was not deployed yet."""
        for file in self._histories:
            for url, entry in file.read().items():
                if same_server(url, server_url) and isinstance(entry, dict):
                    name = entry.get("creating")
                    return name if isinstance(name, str) else None
        return None

    def note_creating(self, server_url: str, name: str | None) -> None:
        """Note that content of that name is about to be created; None that it is deployed."""

        def change(entry: dict[str, Any]) -> None:
            entry["creating"] = name

        self._change_history(server_url, change)

    def _change_history(self, server_url: str, change: Callable[[dict[str, Any]], None]) -> None:
        def write(file: JsonFile) -> None:
            with file.update() as entries:
                same = (url for url in entries if same_server(url, server_url))
                change(_dict(entries, next(same, server_url)))

        self._write(self._histories, write)

    def _write(self, files: tuple[JsonFile, JsonFile], write: Callable[[JsonFile], None]) -> Path:
        first, second = files
        if self._place.in_project or _is_there(self._place.path):
            try:
                _prepare(first.path.parent)
                write(first)
            except OSError:
                pass
            else:
                return first.path
        try:
            write(second)
        except OSError as error:
            raise StoreError(f"{second.path} cannot be written: {error.strerror}.") from error
        return second.path

    def _current(self) -> JsonFile:
        first, second = self._files
        return second if _is_there(second.path) and not _is_there(first.path) else first


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # below a folder that may not be looked into
        return False


def _prepare(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(parents=True)
    (folder / ".gitignore").write_text("*\n", encoding="ascii")


def _put(file: JsonFile, record: DeploymentRecord) -> None:
    with file.update() as entries:
        same = (url for url in entries if same_server(url, record.server_url))
        key = next(same, record.server_url)
        old = entries.get(key, {})
        if not isinstance(old, dict):
            file.set_aside(_no_record(file.path, key))
            old = {}
        entries[key] = old | asdict(record)


def _dict(entries: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the object at a key, a new one where there is none."""
    found = entries.get(key)
    if not isinstance(found, dict):
        found = entries[key] = {}
    return found


def _attempt(noted: object) -> Attempt | None:
    """Read an attempt; what is not one is left out of account."""
    if not (isinstance(noted, dict) and isinstance(noted.get("bundle_id"), str)):
        return None
    replaced, verified = noted.get("replaced"), noted.get("verified")
    return Attempt(
        bundle_id=noted["bundle_id"],
        draft=noted.get("draft") is True,
        activation=str(noted.get("activation") or ""),
        replaced=replaced if isinstance(replaced, str) else None,
        verified=verified if isinstance(verified, bool) else None,
    )


def _record(path: Path, url: str, entry: object) -> DeploymentRecord:
    try:
        fields = Answer(entry, url)
        return DeploymentRecord(
            server_url=fields.optional_string("server_url") or url,
            filename=fields.optional_string("filename") or "",
            app_url=fields.optional_string("app_url") or "",
            app_id=fields.optional_string("app_id") or "",
            app_guid=fields.optional_string("app_guid") or "",
            title=fields.optional_string("title"),
            app_mode=fields.optional_string("app_mode") or "",
            app_store_version=fields.optional_integer("app_store_version") or STORE_VERSION,
        )
    except AnswerError as error:
        raise _no_record(path, url) from error


def _no_record(path: Path, url: str) -> StoreError:
    return StoreError(
        f"{path} is broken: the record for {url} is not as it should be.",
        hint="Mend the file, or move it out of the way; it was left as it is.",
    )
