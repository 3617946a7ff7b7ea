"""Which content a project was deployed to, and what became of each bundle there.

The records are those that the official client keeps too, and may rewrite; the history lies beside
them in a file of our own.
"""

from __future__ import annotations

import base64
import hashlib
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from hatch_connect.connect.json_file import JsonFile
from hatch_connect.connect.json_reader import MAY_BE_EMPTY, FromJson, JsonObject
from hatch_connect.connect.servers import config_directory, same_server
from hatch_connect.errors import AnswerError, StoreError
from hatch_connect.events import silent
from hatch_connect.typed import list_at, table_at, text_at, value_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from hatch_connect.connect.content_settings import Scalar
    from hatch_connect.events import Report

FOLDER = "rsconnect-python"
Changed: TypeAlias = "Mapping[str, tuple[Scalar, Scalar]]"
_LONGEST_HISTORY = 200  # attempts of one piece of content


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRecord(FromJson):
    """What was deployed to one server; the fields are those of the file.

    `filename` is what was deployed (a folder's or a file's name), `app_id` the content's number.
    """

    server_url: str = ""
    filename: str = ""
    app_url: str = ""
    app_id: str = ""
    app_guid: str = ""
    title: str | None = field(default=None, metadata=MAY_BE_EMPTY)
    app_mode: str = ""
    app_store_version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One deployment of one bundle, as far as it came.

    `draft` says that no activation was meant. `activation` is "" before there is any, "begun" from
    before the server is asked until it has answered, "done" after. `replaced` is the bundle that
    was active at that moment. `verified` is None if nobody asked whether the bundle answers.
    `identity` is that of what was uploaded, None for a bundle that was there. `way_back` is the
    bundle that comes back if this one does not answer, None once that is settled. `preview` is the
    branch that it shows, None unless it was deployed for that. `changed` are fields of the content,
    as they were before and as they were set, until all has succeeded.
    """

    bundle_id: str
    draft: bool = False
    activation: str = ""
    replaced: str | None = None
    verified: bool | None = None
    identity: str | None = None
    way_back: str | None = None
    preview: str | None = None
    changed: Changed = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPath:
    """The place of a record, and the one to use if that cannot be written."""

    path: Path
    fallback: Path
    in_project: bool


def record_path(
    root: Path,
    content: str | None,
    *,
    environ: Mapping[str, str],
    platform: str,
    in_project: bool,
) -> RecordPath:
    """Return the places for the record of a project, or of one of its pieces of content.

    With `in_project` False the fallback is written, unless there is a record in the project.

    The names are the official client's: it keeps a folder's record under the folder's own name.
    """
    folder = root.absolute()
    name = content or folder.name
    # The official client names the record of a folder by a file that it makes up, `FOLDER.py`.
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

    A file that cannot be understood and is set aside is reported to `report`.

    Raises:
        StoreError: from every method, if the file cannot be understood or written.

    """

    def __init__(self, place: RecordPath, report: Report = silent) -> None:
        self._place = place

        def files(ending: str) -> tuple[JsonFile, JsonFile]:
            path, fallback = (p.with_suffix(ending) for p in (place.path, place.fallback))
            # The lock must not lie beside the record: a project would keep it.
            lock = fallback.with_name(f"{fallback.name}.lock")
            return (
                JsonFile(path, lock=lock, report=report),
                JsonFile(fallback, lock=lock, report=report),
            )

        self._files = files(".json")
        self._histories = files(".history")

    def find(self, server_url: str) -> tuple[DeploymentRecord, Path] | None:
        """Return the record for a server, however its URL was written, and the file it is in."""
        for file in self._ordered():
            if record := _recorded(file, server_url):
                return record, file.path
        return None

    def put(self, record: DeploymentRecord) -> Path:
        """Write the record for its server, if it is news; return the file that holds it now."""
        try:
            return self._write(self._files, lambda file: _put(file, record))
        except StoreError as error:
            error.hint = f"Name the content with --app-id {record.app_guid} next time."
            raise

    def attempts(self, server_url: str, guid: str) -> tuple[Attempt, ...]:
        """Return what was noted of content, the oldest attempt first."""
        entries = (_entry(file, server_url) for file in reversed(self._histories))
        noted = (each for entry in entries for each in list_at(entry, "contents", guid))
        return tuple(filter(None, map(_attempt, noted)))

    def note(self, server_url: str, guid: str, attempt: Attempt, *, again: bool) -> None:
        """Add an attempt; with `again` it takes the place of the last one on the same bundle.

        What that one replaced, and its identity, stay if the new one knows nothing of them.
        """

        def change(entry: dict[str, Any]) -> None:
            contents = _dict(entry, "contents")
            noted = [each for each in list_at(contents, guid) if _attempt(each)]
            own = attempt.bundle_id
            same = [n for n, each in enumerate(noted) if text_at(each, "bundle_id") == own]
            new = asdict(attempt)
            if again and same:
                old = noted.pop(same[-1])
                new |= {k: text_at(old, k) for k in ("replaced", "identity") if new[k] is None}
            contents[guid] = [*noted, new][-_LONGEST_HISTORY:]

        self._change_history(server_url, change)

    def creating(self, server_url: str) -> str | None:
        """Return the name of content whose first deployment was not finished."""
        names = (text_at(_entry(file, server_url), "creating") for file in self._histories)
        return next((name for name in names if name is not None), None)

    def note_creating(self, server_url: str, name: str | None) -> None:
        """Note that content of that name is about to be created, or None that it was finished."""

        def change(entry: dict[str, Any]) -> None:
            entry["creating"] = name

        self._change_history(server_url, change)

    def _change_history(self, server_url: str, change: Callable[[dict[str, Any]], None]) -> None:
        def write(file: JsonFile) -> None:
            with file.update() as entries:
                change(_dict(entries, _key(entries, server_url)))

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

    def _ordered(self) -> tuple[JsonFile, JsonFile]:
        """Return the file that counts, then the other."""
        first, second = self._files
        if _is_there(first.path):
            # If the first cannot be written, later records went to the second.
            return (first, second) if os.access(first.path, os.W_OK) else (second, first)
        return (second, first) if _is_there(second.path) else (first, second)


def _key(entries: Mapping[str, object], server_url: str) -> str:
    """Return the key of a server, whose URL others may have written in another way."""
    return next((url for url in entries if same_server(url, server_url)), server_url)


def _entry(file: JsonFile, server_url: str) -> object:
    entries = file.read()
    return entries.get(_key(entries, server_url))


def _recorded(file: JsonFile, server_url: str) -> DeploymentRecord | None:
    entries = file.read()
    key = _key(entries, server_url)
    return _record(file.path, key, entries[key]) if key in entries else None


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # below a folder that may not be looked into
        return False


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return
    (folder / ".gitignore").write_text("*\n", encoding="ascii")


def _put(file: JsonFile, record: DeploymentRecord) -> None:
    with suppress(StoreError):
        if _recorded(file, record.server_url) == record:
            return
    with file.update() as entries:
        key = _key(entries, record.server_url)
        old = entries.get(key, {})
        if not isinstance(old, dict):
            file.set_aside(_no_record(file.path, key))
            old = {}
        entries[key] = old | asdict(record)


def _dict(entries: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the object at a key, a new one if there is none."""
    found = entries.get(key)
    if not isinstance(found, dict):
        found = entries[key] = {}
    return found


def _attempt(noted: object) -> Attempt | None:
    """Read an attempt; return None for anything else, so that it is ignored."""
    bundle_id, verified = text_at(noted, "bundle_id"), value_at(noted, "verified")
    if bundle_id is None:
        return None
    return Attempt(
        bundle_id=bundle_id,
        draft=value_at(noted, "draft") is True,
        activation=text_at(noted, "activation") or "",
        replaced=text_at(noted, "replaced"),
        verified=verified if isinstance(verified, bool) else None,
        identity=text_at(noted, "identity"),
        way_back=text_at(noted, "way_back"),
        preview=text_at(noted, "preview"),
        changed=dict(_changed(table_at(noted, "changed"))),
    )


def _changed(noted: Mapping[str, object]) -> Iterator[tuple[str, tuple[Scalar, Scalar]]]:
    for name, values in noted.items():
        match values:
            case [
                str() | int() | float() | None as before,
                str() | int() | float() | None as after,
            ]:
                yield name, (before, after)


def _record(path: Path, url: str, entry: object) -> DeploymentRecord:
    try:
        record = DeploymentRecord.from_answer(JsonObject(entry, url))
    except AnswerError as error:
        raise _no_record(path, url) from error
    return replace(record, server_url=record.server_url or url)


def _no_record(path: Path, url: str) -> StoreError:
    return StoreError(
        f"{path} is broken: the record for {url} is not valid.",
        hint="Repair the file, or move it away; it was not changed.",
    )
