"""What `init` finds out: what a project is, and what the clients of others knew of it."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from hatch_connect.bundle.repository import Repository
from hatch_connect.commands.additions import Addition
from hatch_connect.commands.server import server_store
from hatch_connect.connect.servers import server_url
from hatch_connect.errors import StoreError, UsageError
from hatch_connect.events import Warned
from hatch_connect.project.content_kind import find_app_mode
from hatch_connect.project.discovery import FoundContent, discover, discover_content
from hatch_connect.project.metadata import parse_requirement, read_metadata
from hatch_connect.project.others import OtherContent, read_others
from hatch_connect.project.reading import HATCH, PYPROJECT, ProjectTables, parse_toml, read_bytes
from hatch_connect.project.validators import valid_content_name
from hatch_connect.typed import table_at, texts_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hatch_connect.commands.call import Call
    from hatch_connect.project.metadata import Metadata
OURS = ("tool", "hatch-connect")
RUNNERS = ("hatch", "invoke", "none")
TASKS = "tasks.py"
_LEFT = (".posit/publish", "rsconnect-python", "manifest.json", "requirements.txt")
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)", re.MULTILINE)


@dataclass(kw_only=True)
class Start:
    """A project before it is set up.

    `notes` are for the person, `todo` is what remains to be done, and `to_add` what the person must
    add to a file that exists.
    """

    call: Call
    root: Path
    notes: list[str] = field(default_factory=list)
    todo: list[str] = field(default_factory=list)
    to_add: list[str] = field(default_factory=list)

    @cached_property
    def tables(self) -> ProjectTables:
        """What its files say; a file that is not there says nothing."""
        pyproject, hatch = (
            parse_toml(self.data(name), self.root / name) for name in (PYPROJECT, HATCH)
        )
        return ProjectTables(root=self.root, pyproject=pyproject, hatch=hatch, marked=())

    def data(self, name: str) -> bytes:
        """Return a file's content; nothing if there is none."""
        return read_bytes(self.root / name) if (self.root / name).exists() else b""

    @property
    def is_configured(self) -> bool:
        """Whether it has a table of ours already."""
        return self.tables.table(*OURS) is not None

    @cached_property
    def metadata(self) -> Metadata:
        """What it says of itself; what is wrong with that is said when it is configured."""
        return read_metadata(self.tables, [])

    @property
    def backend(self) -> str:
        """The build back end."""
        return self.metadata.build_backend or ""

    @cached_property
    def runner(self) -> str:
        """What runs the commands: what the call says, else what the project uses."""
        given = self.call.options.runner
        if given is not None and given not in RUNNERS:
            raise UsageError(
                f"`{given}` is not a valid runner.", hint=f"Use one of: {', '.join(RUNNERS)}."
            )
        if given:
            return given
        hatch = (self.root / HATCH).is_file() or self.tables.table("tool", "hatch") is not None
        if hatch or self.backend.startswith("hatchling"):
            return "hatch"
        return "invoke" if re.search(rb"\binvoke\b", self.data(TASKS)) else "none"

    @cached_property
    def packages(self) -> frozenset[str]:
        """The names of the packages that it says it needs."""
        parsed = map(parse_requirement, self.metadata.dependencies)
        listed = _REQUIREMENT.findall(self.data("requirements.txt").decode(errors="replace"))
        poetry = table_at(self.tables.pyproject, "tool", "poetry", "dependencies")
        names = (*(each.name for each in parsed if each), *listed, *poetry)
        return frozenset(map(canonicalize_name, names))


@dataclass(frozen=True, slots=True, kw_only=True)
class StartContent:
    """A piece of content: `name` is None for the only one; `tables` are to be added.

    `python` is the version with which another client deployed it; empty if that is not known.
    """

    name: str | None
    settings: Mapping[str, object]
    tables: tuple[Addition, ...]
    because: str
    python: str = ""


def project_folder(call: Call) -> Path:
    """Return the project's folder: the nearest with a pyproject.toml, or what says as much."""
    directory = (call.surroundings.directory / (call.options.directory or "")).absolute()
    if not directory.is_dir():
        raise UsageError(f"Folder {directory} does not exist.", hint="Check --directory.")
    if any((directory / name).exists() for name in (PYPROJECT, *_LEFT)):
        return directory
    above = (f for f in directory.parents if (f / PYPROJECT).is_file())
    return next(above, directory)


def find_contents(start: Start) -> tuple[StartContent, ...]:
    """Return what is to be deployed: what the call says, what others left, or what is found."""
    options = start.call.options
    given = {"app-mode": options.app_mode, "entrypoint": options.entrypoint}
    given = {key: value for key, value in given.items() if value}
    if options.app_mode:
        given["app-mode"] = find_app_mode(options.app_mode).name
    others = read_others(start.root, start.tables.pyproject)
    if len(others) == 1 and given.get("app-mode") in {None, others[0].settings["app-mode"]}:
        return _of_others(start, others, given, [None])
    if len(others) > 1 and not given:
        names = _unique([valid_content_name(each.name) for each in others])
        return _of_others(start, others, given, names)
    return (_found(start, given),)


def _of_others(
    start: Start,
    others: tuple[OtherContent, ...],
    given: Mapping[str, object],
    names: Sequence[str | None],
) -> tuple[StartContent, ...]:
    """Return the contents, each with its GUID.

    If there are several servers, each GUID goes into the table of its own: it is wrong elsewhere.
    """
    guids = [_guids(start, each) for each in others]
    nicknames = _nicknames(start, tuple(dict.fromkeys(url for each in guids for url in each)))
    contents = []
    for other, name, known in zip(others, names, guids, strict=True):
        where = (*OURS, "content", name) if name else OURS
        by_server = [({"server": url, "guid": guid}, nicknames[url]) for url, guid in known.items()]
        alone = by_server.pop()[0] if len(nicknames) == 1 and by_server else {}
        tables = [Addition(table=(*where, "on", on), values=values) for values, on in by_server]
        if other.declared:
            tables.append(Addition(table=(*where, "settings"), values=other.declared))
        settings = _in_order(_settings(start, other, given) | alone)
        says = "say" if len(other.places) > 1 else "says"
        contents.append(
            StartContent(
                name=name,
                settings=settings,
                tables=(Addition(table=where, values=settings), *tables),
                because=f"as {' and '.join(other.places)} {says}",
                python=next((each.python for each in other.deployed if each.python), ""),
            )
        )
    return tuple(contents)


def _unique(names: list[str]) -> list[str]:
    """Return the names, of the same ones the later with a number."""
    counts = ((name, names[:number].count(name)) for number, name in enumerate(names))
    return [f"{name}-{count + 1}" if count else name for name, count in counts]


def _settings(start: Start, other: OtherContent, given: Mapping[str, object]) -> dict[str, object]:
    """Return what the content's own table is to hold, but for where it was deployed."""
    settings = {**other.settings, **given}
    mode = find_app_mode(str(settings["app-mode"]))
    if "entrypoint" not in settings:
        found = tuple(
            FoundContent(mode=mode, entrypoint=each, because=f"found in {start.root.name}")
            for each in discover(mode, start.root)
        )
        chosen = _ask(start, found) if len(found) > 1 else next(iter(found), None)
        settings |= {"entrypoint": _written_entrypoint(start, chosen)} if chosen else {}
    start.notes.extend(other.notes)
    include = [each for each in texts_at(settings, "include") if not _ships(start, each)]
    settings = {k: v for k, v in settings.items() if k != "include"}
    return settings | ({"include": include} if include else {})


def _ships(start: Start, pattern: str) -> bool:
    """Return whether a file ships anyway: without a package, all that git does not ignore."""
    if start.backend:
        return False
    repository = Repository(start.root, start.call.environ)
    return not repository.ignored(repository.real_path(start.root / pattern.strip("/")))


def _in_order(settings: Mapping[str, object]) -> dict[str, object]:
    first = ("app-mode", "entrypoint", "title")
    return {key: settings[key] for key in (*first, *settings) if key in settings}


def _guids(start: Start, other: OtherContent) -> dict[str, str]:
    """Return the content's GUID on each server; one that files do not agree on is left out."""
    found: dict[str, dict[str, str]] = {}
    for each in other.deployed:
        with suppress(UsageError):
            found.setdefault(server_url(each.server_url), {})[each.guid] = each.path
    for url, guids in found.items():
        if len(guids) > 1:
            named = " and ".join(f"{path} ({guid})" for guid, path in guids.items())
            text = f"Two records name different content on {url}: {named}."
            start.call.report(Warned(text=f"{text} Set the right one as `guid`."))
    return {url: next(iter(guids)) for url, guids in found.items() if len(guids) == 1}


def _nicknames(start: Start, urls: tuple[str, ...]) -> dict[str, str]:
    """Return a nickname for each server: the one that is saved, else one made of its host."""
    names = []
    for url in urls:
        saved = None
        with suppress(StoreError):
            saved = server_store(start.call).find(url)
        host = re.sub(r"[^A-Za-z0-9]+", "-", urlsplit(url).hostname or "server").strip("-")
        names.append((saved and saved.name) or host)
    return dict(zip(urls, _unique(names), strict=True))


def _found(start: Start, given: Mapping[str, object]) -> StartContent:
    """Return the content that the project's files tell of, as far as the call does not."""
    if {"app-mode", "entrypoint"} <= {*given}:
        return _plain(given, "as given by the options")
    found = discover_content(start.root, start.packages)
    if mode := given.get("app-mode"):
        like = [each for each in found if each.mode.name == mode]
        if len(like) != 1:  # `Project.content` says what is wrong
            return _plain(given, "as given by --app-mode")
        found = tuple(like)
    if entrypoint := given.get("entrypoint"):
        found = tuple(each for each in found if str(each.entrypoint) == entrypoint) or found
    if not found:
        hint = "Specify it with: hatch-connect init --app-mode fastapi --entrypoint MODULE:OBJECT"
        if (start.root / "manifest.json").is_file():
            hint = "Deploy the prepared content with: hatch-connect deploy manifest.json"
        raise UsageError(
            f"No Python app, notebook, document or page was found in {start.root}.", hint=hint
        )
    chosen = found[0] if len(found) == 1 else _ask(start, found)
    entrypoint = given.get("entrypoint") or _written_entrypoint(start, chosen)
    return _plain({"app-mode": chosen.mode.name, "entrypoint": entrypoint}, chosen.because)


def _plain(settings: Mapping[str, object], because: str) -> StartContent:
    added = Addition(table=OURS, values=dict(settings))
    return StartContent(name=None, settings=settings, tables=(added,), because=because)


def _written_entrypoint(start: Start, found: FoundContent) -> str:
    """Return the entrypoint; without a package, `src/` is a folder like any other."""
    text = str(found.entrypoint)
    file = text.partition(":")[0]
    path = file if file.endswith(".py") else f"{file.replace('.', '/')}.py"
    below = not (start.root / path).is_file() and (start.root / "src" / path).is_file()
    if start.backend or not below:
        return text
    return f"src/{text}" if file.endswith(".py") else f"src.{text}"


def _ask(start: Start, found: tuple[FoundContent, ...]) -> FoundContent:
    """Let the person choose. Raises UsageError if there is nobody to ask, or no such number."""
    width = max(len(each.mode.name) for each in found)
    lines = [f"{each.mode.name:{width}}  {each.entrypoint}  ({each.because})" for each in found]
    chosen = start.call.choose("What should be deployed?", lines)
    if chosen is None:
        listed = "\n".join(f"  {number}  {line}" for number, line in enumerate(lines, 1))
        raise UsageError(
            f"This project may be one of several kinds of content:\n{listed}",
            hint="Choose one with --app-mode and --entrypoint.",
        )
    return found[chosen]
