"""One method for each request, and what to do if the answer to an unsafe one is lost."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from functools import cached_property
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

from hatch_connect.connect.codes import Code
from hatch_connect.connect.json_reader import JsonObject, objects, strings
from hatch_connect.connect.resources import (
    BundleInfo,
    Content,
    Diagnosis,
    ExecutionEnvironment,
    InstalledPackage,
    Job,
    LogEntry,
    PythonInstallation,
    ServerSettings,
    TaskStatus,
    User,
    Visit,
)
from hatch_connect.connect.session import HIDDEN, Request, Session, content_path, unless_hidden
from hatch_connect.connect.upload import BundleBody, Largest, check_received, explain
from hatch_connect.errors import (
    AnswerError,
    NotFoundError,
    RefusedError,
    ServerError,
)
from hatch_connect.events import Report, silent
from hatch_connect.typed import texts_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hatch_connect.connect.content_settings import ContentSettingsClient
    from hatch_connect.connect.servers import Server
    from hatch_connect.secret import Hidden, Secret

_NO_SUCH_PAGE = {400, 404}
_UNTOLD = HIDDEN | {400, 409}  # also content for which Connect installs nothing
_PAGE = 20
_LINES = 5000
_BAD_REQUEST = 400
_SLOWEST = 1 << 17  # bytes a second that a download may take at least


class ConnectClient:
    """Posit Connect's API, as one credential may use it.

    Every method raises `UnreachableError`, `AnswerError` or `RefusedError` (`NotFoundError` for
    what does not exist). Reads and idempotent changes are sent again. If the answer to a create, an
    upload or a deploy is lost, the server is asked whether it arrived before anything is repeated.

    `environ` gives the proxies, the certificates and CONNECT_REQUEST_TIMEOUT; `hidden` are values
    that no excerpt of an answer may show.
    """

    def __init__(
        self,
        server: Server,
        *,
        environ: Mapping[str, str],
        report: Report,
        hidden: Hidden = (),
    ) -> None:
        self._session = Session(server, environ=environ, report=report, hidden=hidden)

    @property
    def server(self) -> Server:
        """The server that this is a client of."""
        return self._session.server

    @property
    def proxy(self) -> str | None:
        """The host and port of the proxy through which it is reached."""
        return self._session.proxy

    @cached_property
    def settings(self) -> ContentSettingsClient:
        """The requests for what is declared of content."""
        from hatch_connect.connect.content_settings import ContentSettingsClient

        return ContentSettingsClient(self._session)

    def server_settings(self) -> ServerSettings:
        """Return what the server says of itself; no key is needed for this."""
        request = Request("GET", "server_settings", public=True)
        return ServerSettings.from_answer(self._session.object(request))

    def python_installations(self) -> tuple[PythonInstallation, ...] | None:
        """Return the server's Pythons; None if it does not tell."""
        answer = unless_hidden(lambda: self._get("v1/server_settings/python"))
        if answer is None:
            return None
        return tuple(map(PythonInstallation.from_answer, answer.objects("installations")))

    def environments(self) -> tuple[ExecutionEnvironment, ...] | None:
        """Return the images that content can run in; None if the server does not tell."""
        request = Request("GET", "v1/environments")
        return unless_hidden(
            lambda: self._session.listed(request, ExecutionEnvironment.from_answer)
        )

    def me(self) -> User:
        """Return the key's user; a key without a user is refused with code 22."""
        return User.from_answer(self._get("v1/user"))

    def user(self) -> User | None:
        """Return the key's user; None for the valid key of a service principal."""
        try:
            return self.me()
        except RefusedError as error:
            if error.code == Code.PERMISSION_DENIED:
                return None
            raise

    def find_content(self, name: str, owner_guid: str | None = None) -> tuple[Content, ...]:
        """Return the content of exactly that name that the key may see."""
        query = {"name": name} | ({"owner_guid": owner_guid} if owner_guid else {})
        # A server that ignores the query returns more: the answers are compared with it.
        found = map(Content.from_answer, self._listed("v1/content", "guid", query))
        return tuple(c for c in found if c.name == name and owner_guid in {None, c.owner_guid})

    def own_content(self, name: str, user: User | None) -> tuple[Content, ...]:
        """Return the user's content of that name; without a user, what the key may change."""
        if user:
            return self.find_content(name, user.guid)
        return tuple(c for c in self.find_content(name) if c.is_editable)

    def owner_of(self, content: Content) -> str:
        """Return what to call the owner of content: the user's name, if this key may know it."""
        person = Request("GET", f"v1/users/{quote(content.owner_guid, safe='')}")
        include = Request("GET", content_path(content.guid), query={"include": "owner"})
        credential = self.server.credential
        for request in (include, person) if credential is None or credential.can_list else ():
            with contextlib.suppress(ServerError):
                answer = self._session.object(request)
                owner = answer if request is person else answer.child("owner")
                if owner and (name := owner.optional_string("username")):
                    return name
        return f"the user {content.owner_guid}" if content.owner_guid else "another user"

    def content(self, guid: str) -> Content:
        """Return one piece of content."""
        return Content.from_answer(self._get(content_path(guid)))

    def content_by_number(self, number: str) -> Content:
        """Return the content that older clients know by a number."""
        return self.content(self._get(f"applications/{quote(number, safe='')}").string("guid"))

    def is_git_managed(self, guid: str) -> bool:
        """Return whether the server itself fetches this content from a repository.

        False if it does not tell: it would refuse an upload later. Never raises.
        """
        try:
            self._get(content_path(guid, "repository"))
        except ServerError:
            return False
        return True

    def create_content(self, name: str, title: str | None = None) -> Content:
        """Create content; raises RefusedError with status 409 if I own content of that name.

        Names are unique for an owner: if the answer is lost and content is found, it is ours.
        """

        def create() -> Content:
            body = {"name": name} | ({} if title is None else {"title": title})
            return Content.from_answer(self._send("POST", "v1/content", body))

        def look() -> Content | None:
            found = self.own_content(name, self.user())
            return found[0] if len(found) == 1 else None

        return self._session.settled(create, look, name_may_be_ours=True)

    def update_content(self, guid: str, field: str, value: str) -> Content:
        """Change a field of content, named as in `Content`, and return it as it is now."""
        changes = {Content.key_of(field): value}
        return Content.from_answer(self._send("PATCH", content_path(guid), changes))

    def environment_names(self, guid: str) -> tuple[str, ...]:
        """Return the names of the content's environment variables."""
        request = Request("GET", content_path(guid, "environment"))
        return strings(self._session.json(request), str(request))

    def set_environment(self, guid: str, variables: Mapping[str, Secret | None]) -> None:
        """Set environment variables; None removes one, those that are not named stay."""
        body = [
            {"name": n, "value": None if v is None else v.reveal()} for n, v in variables.items()
        ]
        secrets = tuple(v for v in variables.values() if v)
        request = Request("PATCH", content_path(guid, "environment"), body=body, secrets=secrets)
        names = self._session.json(request, may_be_empty=True)
        wanted = {name for name, value in variables.items() if value is not None}
        if not (isinstance(names, list) and wanted <= set(texts_at(names))):
            # Something in front of Connect may have answered: compare what is set now.
            self._check_names(guid, wanted, str(request))

    def _check_names(self, guid: str, wanted: set[str], request: str) -> None:
        try:
            known = set(self.environment_names(guid))
        except RefusedError as error:
            if error.code != Code.PERMISSION_DENIED:
                raise
            return  # Connect answered: a key that may set variables need not be able to see them
        if missing := sorted(wanted - known):
            raise AnswerError(
                f"{request} succeeded, but {', '.join(missing)} was not set.",
                hint="Check whether a proxy or a login page responded instead of Connect.",
            )

    def upload_bundle(
        self,
        guid: str,
        path: Path,
        *,
        metadata: Mapping[str, str] | None = None,
        report: Report = silent,
        largest: Largest = (),
    ) -> BundleInfo:
        """Upload a bundle, streamed from disk; `Progress` says what the socket took.

        Give `metadata` only if the server takes it (`Feature.BUNDLE_METADATA`). `largest` are the
        largest files with their sizes, for the message if the server finds the bundle too large.
        """
        body = BundleBody(path, metadata=metadata, report=report)
        request = Request("POST", content_path(guid, "bundles"), stream=body)

        def upload() -> BundleInfo:
            try:
                return BundleInfo.from_answer(self._session.object(request))
            except ServerError as error:
                explain(error, body, largest)
                raise

        def look() -> BundleInfo | None:
            # An archive that was not sent whole cannot have become a bundle.
            return self._uploaded(guid, body) if body.sent else None

        with body:
            uploaded = self._session.settled(upload, look)
        check_received(uploaded.archive_md5, body)
        return uploaded

    def _uploaded(self, guid: str, body: BundleBody) -> BundleInfo | None:
        same = (b for b in self.bundles(guid) if b.archive_md5 == body.md5)
        return next((b for b in same if body.metadata.items() <= dict(b.metadata).items()), None)

    def bundles(self, guid: str) -> tuple[BundleInfo, ...]:
        """Return all bundles, newest first; `Content.bundle_id` says which one is active."""
        found = map(
            BundleInfo.from_answer, self._listed(content_path(guid, "bundles"), "id", least=1)
        )
        return tuple(sorted(found, key=lambda b: b.number, reverse=True))

    def bundle(self, guid: str, bundle_id: str) -> BundleInfo:
        """Return a bundle; NotFoundError if the content has none of that id."""
        return BundleInfo.from_answer(self._get(content_path(guid, "bundles", bundle_id)))

    def bundle_manifest(self, guid: str, bundle_id: str) -> Mapping[str, object] | None:
        """Return the manifest of a bundle; None if the server does not show it so."""
        path = content_path(guid, "bundles", bundle_id, "files", "manifest.json")
        try:
            answer = unless_hidden(lambda: self._session.json(Request("GET", path)))
        except AnswerError:
            return None
        return _manifest_in(answer)

    def bundle_file(self, guid: str, bundle_id: str, path: str, md5: str) -> bytes | None:
        """Return a file of a bundle, which has that MD5; None if the server does not show it so."""
        parts = ("bundles", bundle_id, "files", *path.split("/"))
        request = Request("GET", content_path(guid, *parts))
        found = unless_hidden(lambda: self._session.data(request))
        texts = _texts_in(found[1]) if found else ()
        return next((text for text in texts if _md5(text) == md5), None)

    def download_bundle(
        self,
        guid: str,
        bundle: BundleInfo,
        into: IO[bytes],
        *,
        limit: int | None = None,
        report: Report = silent,
    ) -> bool:
        """Write the archive of a bundle to a file; `Progress` says how much has come.

        Returns False if it is larger than `limit`.
        """
        path = content_path(guid, "bundles", bundle.id, "download")
        request = Request("GET", path, wait=(bundle.size or 0) // _SLOWEST)
        return self._session.download(request, into, limit, report)

    def packages(self, guid: str) -> tuple[InstalledPackage, ...] | None:
        """Return what the server installed for content; None if it does not tell."""
        request = Request("GET", content_path(guid, "packages"))
        read = InstalledPackage.from_answer
        return unless_hidden(
            lambda: self._session.listed(request, read, may_be_empty=True), _UNTOLD
        )

    def lockfile(self, guid: str) -> str | None:
        """Return what is installed for the active bundle, as requirements; None if not told."""
        request = Request("GET", content_path(guid, "lockfile"))
        found = unless_hidden(lambda: self._session.data(request), _UNTOLD)
        kind, text = found or ("html", b"")
        return None if "html" in kind else text.decode("utf-8", "replace")

    def remove_bundle(self, guid: str, bundle_id: str) -> None:
        """Remove a bundle that is not the active one."""
        request = Request("DELETE", content_path(guid, "bundles", bundle_id))

        def remove() -> bool:
            self._session.json(request, may_be_empty=True)
            return True

        def look() -> bool | None:
            try:
                self.bundle(guid, bundle_id)
            except NotFoundError:
                return True
            return None

        self._session.settled(remove, look)

    def deploy(self, guid: str, bundle_id: str, *, activate: bool | None = None) -> str:
        """Start the deployment of a bundle and return its task's id.

        `activate` is sent only when it is given: older servers refuse the field (code 121). When
        the answer is lost the same bundle is deployed again, which changes nothing.
        """
        body = {"bundle_id": bundle_id} | ({} if activate is None else {"activate": activate})

        def deploy() -> str:
            return self._send("POST", content_path(guid, "deploy"), body).string("task_id")

        return self._session.settled(deploy, lambda: None)

    def task(self, task_id: str, *, first: int = 0, wait: int = 1) -> TaskStatus:
        """Return a task and its log from line `first`; answers after `wait` seconds at most."""
        query = {"first": str(first), "wait": str(wait)}
        answer = self._get(f"v1/tasks/{quote(task_id, safe='')}", query=query, wait=wait)
        return TaskStatus.from_answer(answer, first=first)

    def jobs(self, guid: str) -> tuple[Job, ...]:
        """Return the processes started for the content, the one that started last first."""
        jobs = map(Job.from_answer, self._listed(content_path(guid, "jobs"), "key"))
        return tuple(sorted(jobs, key=lambda job: job.order, reverse=True))

    def job(self, guid: str, key: str) -> Job:
        """Return one process that was started for the content."""
        return Job.from_answer(self._get(content_path(guid, "jobs", key)))

    def job_log(self, guid: str, key: str, *, known: int = 0) -> tuple[LogEntry, ...]:
        """Return all lines that a process wrote; at least `known` of them are there already.

        A server that limits how many it returns may leave out the first.
        """
        # Connect returns 5,000 lines at most unless it is asked for more.
        most = max(_LINES, 2 * known)
        entries: tuple[LogEntry, ...] = ()
        while True:
            before = len(entries)
            try:
                entries = self._log_entries(guid, key, most)
            except RefusedError as error:
                if most == _LINES or error.status != _BAD_REQUEST:
                    raise
                return entries or self._log_entries(guid, key, _LINES)  # too many were asked for
            if len(entries) < most or len(entries) <= before:
                return entries
            most *= 4

    def _log_entries(self, guid: str, key: str, most: int) -> tuple[LogEntry, ...]:
        query = {"maxLogLines": str(most)} if most > _LINES else {}
        answer = self._get(content_path(guid, "jobs", key, "log"), query=query)
        return tuple(map(LogEntry.from_answer, answer.objects("entries")))

    def job_error(self, guid: str, key: str) -> Diagnosis | None:
        """Return Connect's own diagnosis of a process that failed; None if it has none."""
        request = Request("GET", content_path(guid, "jobs", key, "error"))
        answer = unless_hidden(lambda: self._session.json(request, may_be_empty=True))
        return None if answer is None else Diagnosis.from_answer(JsonObject(answer, str(request)))

    def visit(
        self,
        guid: str,
        *,
        bundle_id: str | None = None,
        path: str = "",
        timeout: float | None = None,
    ) -> Visit:
        """Look at content, or at a bundle of it that is not active, as a browser would.

        `timeout` bounds the one of all requests, in seconds.
        """
        draft = f"_bundle{bundle_id}/" if bundle_id else ""
        where = f"content/{quote(guid, safe='')}/{draft}{path.lstrip('/')}"
        return self._session.visit(where, timeout)

    def _listed(
        self, path: str, key: str, query: Mapping[str, str] | None = None, *, least: int = _PAGE
    ) -> Iterator[JsonObject]:
        """Return each object of a list once, identified by its field `key`, from all pages.

        Connect's reference documents pages for bundles alone, of 20 in either order, and older
        servers have none. So the first request names no page; if it returns `least` objects or
        more, further pages are requested until one brings nothing new. A server that ignores the
        page number repeats the same objects, one that refuses it has no more.
        """
        found: dict[str, JsonObject] = {}
        for page in itertools.count(1):
            asked = {**(query or {}), **({"page_number": str(page)} if page > 1 else {})}
            request = Request("GET", path, query=asked)
            try:
                listed = tuple(objects(self._session.json(request), str(request)))
            except RefusedError as error:
                if page == 1 or error.status not in _NO_SUCH_PAGE:
                    raise
                break
            known = len(found)
            found = {each.string(key): each for each in listed} | found
            if len(found) == known or len(found) < least:
                break
        return iter(found.values())

    def _get(
        self, path: str, *, query: Mapping[str, str] | None = None, wait: int = 0
    ) -> JsonObject:
        return self._session.object(Request("GET", path, query=query or {}, wait=wait))

    def _send(self, method: str, path: str, body: object) -> JsonObject:
        return self._session.object(Request(method, path, body=body))


def _texts_in(answer: bytes) -> Iterator[bytes]:
    """Yield an answer and the texts in it: which one a file is, the reference does not say."""
    yield answer
    with contextlib.suppress(ValueError, RecursionError):
        told = json.loads(answer)
        values = told.values() if isinstance(told, dict) else (told,)
        yield from (each.encode("utf-8", "replace") for each in values if isinstance(each, str))


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _manifest_in(answer: object) -> Mapping[str, object] | None:
    """Return the manifest that an answer is, or holds as the text of a file."""
    if isinstance(answer, str):
        with contextlib.suppress(ValueError, RecursionError):
            answer = json.loads(answer)
    if not isinstance(answer, dict):
        return None
    if isinstance(answer.get("metadata"), dict):
        return answer
    return next(filter(None, map(_manifest_in, answer.values())), None)
