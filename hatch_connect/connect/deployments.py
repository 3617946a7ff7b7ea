"""Which content a project was deployed to: the records that the official client keeps too."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from hatch_connect.errors import AnswerError, StoreError
from hatch_connect.events import silent

from .answer import Answer
from .servers import config_directory
from .store import JsonFile
from .url import same_server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_connect.events import Report

FOLDER = "rsconnect-python"
STORE_VERSION = 1


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
    """The records of one project (or one of its contents), one a server.

    `report` is told where a file that cannot be understood had to be set aside.

    Raises:
        StoreError: from every method, where the file cannot be understood or written.

    """

    def __init__(self, place: RecordPath, report: Report = silent) -> None:
        self._place = place
        # The lock is not beside the record: nothing may be left behind in a project.
        lock = place.fallback.with_name(f"{place.fallback.name}.lock")
        self._files = (
            JsonFile(place.path, lock=lock, report=report),
            JsonFile(place.fallback, lock=lock, report=report),
        )

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
        """Write the record for its server and return the file that holds it now."""
        first, second = self._files
        if not self._place.in_project and not first.path.exists():
            first = second
        try:
            _prepare(first.path.parent)
            return _put(first, record)
        except OSError:
            try:
                return _put(second, record)
            except OSError as error:
                raise StoreError(
                    f"{first.path} cannot be written, nor {second.path}: {error.strerror}.",
                    hint=f"The content is deployed; name it next time: --app-id {record.app_guid}",
                ) from error

    def _current(self) -> JsonFile:
        first, second = self._files
        return second if second.path.exists() and not first.path.exists() else first


def _prepare(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(parents=True)
    (folder / ".gitignore").write_text("*\n", encoding="ascii")


def _put(file: JsonFile, record: DeploymentRecord) -> Path:
    with file.update() as entries:
        same = (url for url in entries if same_server(url, record.server_url))
        key = next(same, record.server_url)
        old = entries.get(key, {})
        if not isinstance(old, dict):
            file.set_aside(_no_record(file.path, key))
            old = {}
        entries[key] = old | asdict(record)
    return file.path


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
