"""`init`: find out what a project is, and write what it takes to deploy it.

It reads what Posit Publisher and the official client left, so that the first deployment updates the
content that they deployed. Files of the project are extended, and nothing in them is changed.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from hatch_connect.commands.additions import Addition, CannotAddError, with_additions
from hatch_connect.commands.result import Result
from hatch_connect.commands.server import server_store
from hatch_connect.commands.workflow import EXAMPLE, SERVICES, workflow
from hatch_connect.connect.servers import server_url
from hatch_connect.errors import HatchConnectError, StoreError, UsageError
from hatch_connect.events import Note, Warned
from hatch_connect.locks import find_lock
from hatch_connect.project.content_kind import find_app_mode
from hatch_connect.project.entrypoints import discover, discover_content
from hatch_connect.project.interpreter import Interpreter
from hatch_connect.project.metadata import parse_requirement, read_metadata
from hatch_connect.project.others import OtherContent, read_others
from hatch_connect.project.project import Project
from hatch_connect.project.python_version import choose_python
from hatch_connect.project.reading import HATCH, PYPROJECT, ProjectTables, parse_toml, read_bytes
from hatch_connect.typed import list_at, table_at, text_at, texts_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hatch_connect.commands.call import Call
    from hatch_connect.project.entrypoints import FoundContent
    from hatch_connect.project.project import ProjectConfig

OURS = ("tool", "hatch-connect")
RUNNERS = ("hatch", "invoke", "none")
_LEFT = (".posit/publish", "rsconnect-python", "manifest.json", "requirements.txt")
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)", re.MULTILINE)
_VERSION = re.compile(r"^version(?:_info)?\s*=\s*(3\.[0-9]+)", re.MULTILINE)
_TASKS = "tasks.py"
_NAMESPACE = "from invoke_tasks import ns"


def run_init(call: Call) -> Result:
    """Write what is missing. Raises UsageError, ConfigurationError; then nothing is written."""
    start = _Start(call=call, root=_root(call))
    contents = () if start.is_configured else _contents(start)
    files = _files(start, contents)
    for note in start.notes:
        call.report(Note(text=note))
    return _finished(start, contents, files)


@dataclass(kw_only=True)
class _Start:
    """A project before it is set up; `notes` are for the person."""

    call: Call
    root: Path
    notes: list[str] = field(default_factory=list)

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
    def backend(self) -> str:
        """The build back end."""
        return read_metadata(self.tables, []).build_backend or ""

    @cached_property
    def runner(self) -> str:
        """What runs the commands: what the call says, else what the project uses."""
        given = self.call.options.runner
        if given is not None and given not in RUNNERS:
            raise UsageError(f"--runner is one of {', '.join(RUNNERS)}, not {given!r}.")
        if given:
            return given
        hatch = (self.root / HATCH).is_file() or self.tables.table("tool", "hatch") is not None
        if hatch or self.backend.startswith("hatchling"):
            return "hatch"
        return "invoke" if re.search(rb"\binvoke\b", self.data(_TASKS)) else "none"

    @cached_property
    def packages(self) -> frozenset[str]:
        """The names of the packages that it says it needs."""
        metadata = read_metadata(self.tables, [])
        parsed = map(parse_requirement, metadata.dependencies)
        listed = _REQUIREMENT.findall(self.data("requirements.txt").decode(errors="replace"))
        poetry = table_at(self.tables.pyproject, "tool", "poetry", "dependencies")
        names = (*(each.name for each in parsed if each), *listed, *poetry)
        return frozenset(map(canonicalize_name, names))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """A piece of content: `name` is None for the only one; `tables` are to be added."""

    name: str | None
    settings: Mapping[str, object]
    tables: tuple[Addition, ...]
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file to write; `before` is None for one that is new."""

    path: Path
    before: bytes | None
    after: bytes

    def diff(self, root: Path) -> list[str]:
        """Return what changes in it, as `diff -u` shows it."""
        name = Path(os.path.relpath(self.path, root)).as_posix()
        old, new = (
            data.decode("utf-8-sig").splitlines() for data in (self.before or b"", self.after)
        )
        origin = name if self.before is not None else os.devnull
        return list(difflib.unified_diff(old, new, origin, name, lineterm="", n=2))


def _root(call: Call) -> Path:
    """Return the project's folder: the nearest with a pyproject.toml, or what says as much."""
    directory = (call.surroundings.directory / (call.options.directory or "")).absolute()
    if not directory.is_dir():
        raise UsageError(f"There is no folder {directory}.", hint="Correct --directory.")
    if any((directory / name).exists() for name in (PYPROJECT, *_LEFT)):
        return directory
    above = (f for f in directory.parents if (f / PYPROJECT).is_file())
    return next(above, directory)


def _contents(start: _Start) -> tuple[_Content, ...]:
    """Return what is to be deployed: what the call says, what others left, or what is found."""
    options = start.call.options
    given = {"app-mode": options.app_mode, "entrypoint": options.entrypoint}
    given = {key: value for key, value in given.items() if value}
    if options.app_mode:
        given["app-mode"] = find_app_mode(options.app_mode).name
    others = read_others(start.root, start.tables.pyproject)
    if len(others) > 1 and not given:
        return tuple(_of_other(start, each, given, several=True) for each in others)
    if len(others) == 1 and given.get("app-mode") in {None, others[0].settings["app-mode"]}:
        return (_of_other(start, others[0], given),)
    return (_found(start, given),)


def _of_other(
    start: _Start, other: OtherContent, given: Mapping[str, object], *, several: bool = False
) -> _Content:
    settings = {**other.settings, **given}
    mode = find_app_mode(str(settings["app-mode"]))
    if "entrypoint" not in settings:
        only = discover(mode, start.root)
        settings |= {"entrypoint": str(only[0])} if len(only) == 1 else {}
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", other.name)[:64] if several else None
    where = (*OURS, "content", name) if name else OURS
    start.notes.extend(other.notes)
    guids = _guids(start, other)
    below = []
    if len(guids) == 1:
        settings |= {"server": next(iter(guids)), "guid": next(iter(guids.values()))}
    elif guids:
        names = _nicknames(start, tuple(guids))
        below = [
            Addition(table=(*where, "on", names[url]), values={"server": url, "guid": guid})
            for url, guid in guids.items()
        ]
    if other.declared:
        below.append(Addition(table=(*where, "settings"), values=other.declared))
    return _Content(
        name=name,
        settings=_in_order(settings),
        tables=(Addition(table=where, values=_in_order(settings)), *below),
        because=f"as {' and '.join(other.places)} {'say' if len(other.places) > 1 else 'says'}",
    )


def _in_order(settings: Mapping[str, object]) -> dict[str, object]:
    first = ("app-mode", "entrypoint", "title")
    return {key: settings[key] for key in (*first, *settings) if key in settings}


def _guids(start: _Start, other: OtherContent) -> dict[str, str]:
    """Return the content's GUID on each server; one that files do not agree on is left out."""
    found: dict[str, dict[str, str]] = {}
    for each in other.deployed:
        with suppress(UsageError):
            found.setdefault(server_url(each.server_url), {})[each.guid] = each.path
    for url, guids in found.items():
        if len(guids) > 1:
            named = " and ".join(f"{path} ({guid})" for guid, path in guids.items())
            text = f"Two records name different content on {url}: {named}."
            start.call.report(Warned(text=f"{text} Write the right one as `guid`."))
    return {url: next(iter(guids)) for url, guids in found.items() if len(guids) == 1}


def _nicknames(start: _Start, urls: tuple[str, ...]) -> dict[str, str]:
    """Return a nickname for each server: the one that is saved, else one made of its host."""
    names: dict[str, str] = {}
    for url in urls:
        saved = None
        with suppress(StoreError):
            saved = server_store(start.call).find(url)
        host = (urlsplit(url).hostname or "server").replace(".", "-").replace(":", "-")
        name = (saved and saved.name) or host
        count = sum(other.startswith(name) for other in names.values())
        names[url] = f"{name}-{count + 1}" if name in names.values() else name
    return names


def _found(start: _Start, given: Mapping[str, object]) -> _Content:
    """Return the content that the project's files tell of, as far as the call does not."""
    if {"app-mode", "entrypoint"} <= {*given}:
        return _plain(given, "as the options say")
    found = discover_content(start.root, start.packages)
    if mode := given.get("app-mode"):
        like = [each for each in found if each.mode.name == mode]
        if len(like) != 1:  # `Project.content` says what is wrong
            return _plain(given, "as --app-mode says")
        found = tuple(like)
    if entrypoint := given.get("entrypoint"):
        found = tuple(each for each in found if str(each.entrypoint) == entrypoint) or found
    if not found:
        raise UsageError(
            f"Nothing in {start.root} looks like content that Connect runs: no app, notebook,"
            " document or page was found.",
            hint="Say what it is: hatch-connect init --app-mode fastapi --entrypoint MODULE:OBJECT",
        )
    chosen = found[0] if len(found) == 1 else _ask(start, found)
    entrypoint = given.get("entrypoint") or _written_entrypoint(start, chosen)
    return _plain({"app-mode": chosen.mode.name, "entrypoint": entrypoint}, chosen.because)


def _plain(settings: Mapping[str, object], because: str) -> _Content:
    added = Addition(table=OURS, values=dict(settings))
    return _Content(name=None, settings=settings, tables=(added,), because=because)


def _written_entrypoint(start: _Start, found: FoundContent) -> str:
    """Return the entrypoint; without a package, `src/` is a folder like any other."""
    text = str(found.entrypoint)
    file = text.partition(":")[0]
    path = file if file.endswith(".py") else f"{file.replace('.', '/')}.py"
    below = not (start.root / path).is_file() and (start.root / "src" / path).is_file()
    if start.backend or not below:
        return text
    return f"src/{text}" if file.endswith(".py") else f"src.{text}"


def _ask(start: _Start, found: tuple[FoundContent, ...]) -> FoundContent:
    """Let the person choose. Raises UsageError if there is nobody to ask, or no such number."""
    width = max(len(each.mode.name) for each in found)
    lines = [
        f"  {number}  {each.mode.name:{width}}  {each.entrypoint}  ({each.because})"
        for number, each in enumerate(found, 1)
    ]
    listed = "\n".join(lines)
    ask = start.call.surroundings.ask
    if ask is None:
        raise UsageError(
            f"This project may be one of several kinds of content:\n{listed}",
            hint="Choose one with --app-mode and --entrypoint.",
        )
    answer = ask(f"What should be deployed?\n{listed}\nNumber: ").strip()
    if not answer.isdecimal() or not 0 < int(answer) <= len(found):
        raise UsageError(f"{answer!r} is not one of 1 to {len(found)}. Nothing was written.")
    return found[int(answer) - 1]


def _files(start: _Start, contents: tuple[_Content, ...]) -> tuple[_File, ...]:
    """Return what is to be written. Raises UsageError, ConfigurationError."""
    additions = [addition for content in contents for addition in content.tables]
    after = _extended(start, PYPROJECT, additions)
    if contents:
        configs = _read_again(start, after, contents)
        if pythons := _python(start, contents, configs):
            additions += pythons
            after = _extended(start, PYPROJECT, additions)
            _read_again(start, after, contents)
    _report_found(start, contents)
    by_file = {PYPROJECT: additions, HATCH: []}
    for name, addition in _of_hatch(start) if start.runner == "hatch" else ():
        by_file[name].append(addition)
    files = [_file(start, name, wanted) for name, wanted in by_file.items()]
    if start.call.options.ci:
        files.append(_workflow(start, contents))
    return tuple(each for each in files if each is not None)


def _file(start: _Start, name: str, additions: list[Addition]) -> _File | None:
    before, path = start.data(name), start.root / name
    after = _extended(start, name, additions)
    if after == before:
        return None
    return _File(path=path, before=before if path.exists() else None, after=after)


def _extended(start: _Start, name: str, additions: list[Addition]) -> bytes:
    try:
        return with_additions(start.data(name), additions)
    except CannotAddError:
        lines = "\n\n".join("\n".join(each.lines) for each in additions)
        raise UsageError(
            f"{name} is written in a way that cannot be extended without changing the rest of it."
            " Nothing was written.",
            hint=f"Add these lines yourself:\n\n{lines}",
        ) from None


def _read_again(
    start: _Start, after: bytes, contents: tuple[_Content, ...]
) -> tuple[ProjectConfig, ...]:
    """Return the contents as a command will read them. Raises ConfigurationError."""
    tables = ProjectTables(
        root=start.root,
        pyproject=tomllib.loads(after.decode("utf-8-sig")),
        hatch=start.tables.hatch,
        marked=(),
    )
    problems: list[str] = []
    project = Project(
        tables=tables, metadata=read_metadata(tables, problems), problems=tuple(problems)
    )
    return tuple(project.content(each.name) for each in contents)


def _python(
    start: _Start, contents: tuple[_Content, ...], configs: tuple[ProjectConfig, ...]
) -> list[Addition]:
    """Return the Python of content for which nothing states one."""
    added = []
    for content, config in zip(contents, configs, strict=True):
        if not config.app_mode.has_python:
            continue
        lock = None
        with suppress(HatchConnectError):  # a list that must be locked first
            lock = find_lock(config)
        interpreter, because = _interpreter(start)
        lock_python = lock.lock_python if lock else None
        with suppress(HatchConnectError):
            choose_python(config, lock_python=lock_python)
            continue
        with suppress(HatchConnectError):
            python = choose_python(
                config, lock_python=lock_python, interpreter=partial(_same, interpreter)
            )
            values = {"python-version": python.minor}
            added.append(Addition(table=content.tables[0].table, values=values))
            start.notes.append(f'python-version = "{python.minor}" ({because})')
    return added


def _interpreter(start: _Start) -> tuple[Interpreter, str]:
    """Return the Python of the project's virtual environment, else our own."""
    active = start.call.environ.get("VIRTUAL_ENV")
    for folder in (start.root / ".venv", start.root / "venv", *([Path(active)] if active else [])):
        with suppress(OSError, UnicodeDecodeError):
            found = _VERSION.search((folder / "pyvenv.cfg").read_text(encoding="utf-8"))
            if found:
                python = Interpreter(path=folder, version=found[1], implementation="cpython")
                return python, f"the Python of {folder.name}"
    version = "{}.{}".format(*sys.version_info)
    python = Interpreter(
        path=start.call.surroundings.interpreter, version=version, implementation="cpython"
    )
    return python, "nothing states one: this is the Python that runs hatch-connect"


def _same(interpreter: Interpreter) -> Interpreter:
    return interpreter


def _report_found(start: _Start, contents: tuple[_Content, ...]) -> None:
    if not contents:
        start.notes.append(f"{PYPROJECT} has [tool.hatch-connect] already: it stays as it is.")
    for content in contents:
        called = f"{content.name}: " if content.name else ""
        shown = ", ".join(
            f'{key} = "{content.settings[key]}"'
            for key in ("app-mode", "entrypoint")
            if key in content.settings
        )
        start.notes.insert(0, f"{called}{shown}: {content.because}")


def _of_hatch(start: _Start) -> list[tuple[str, Addition]]:
    """Return what Hatch needs, each with its file: what `hatch.toml` has counts there."""
    tables = start.tables.hatch_tables
    required = list_at(tables, "env", "requires")
    values: dict[str, object] = {} if _names_us(required) else {"requires": [_requirement("local")]}
    wanted = [(("env",), values), (("env", "collectors", "connect"), {})]
    if start.backend.startswith("hatchling"):
        target = ("build", "targets", "connect")
        has = _names_us(list_at(tables, *target, "dependencies"))
        wanted.append((target, {} if has else {"dependencies": [_requirement()]}))
    return [
        (HATCH, Addition(table=keys, values=values))
        if keys[0] in start.tables.hatch
        else (PYPROJECT, Addition(table=("tool", "hatch", *keys), values=values))
        for keys, values in wanted
    ]


def _names_us(requirements: list[object]) -> bool:
    parsed = (parse_requirement(str(each)) for each in requirements)
    return any(each and canonicalize_name(each.name) == "hatch-connect" for each in parsed)


def _requirement(extra: str = "") -> str:
    """Return what installs this hatch-connect: from where it was installed, if from no index."""
    name = f"hatch-connect[{extra}]" if extra else "hatch-connect"
    try:
        told = json.loads(distribution("hatch-connect").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        told = {}
    url = text_at(told, "url")
    if url is None:
        return name
    if commit := text_at(told, "vcs_info", "commit_id"):
        url = f"{text_at(told, 'vcs_info', 'vcs')}+{url}@{commit}"
    return f"{name} @ {url}"


def _workflow(start: _Start, contents: tuple[_Content, ...]) -> _File | None:
    """Return the workflow of a CI service, at the top of the repository."""
    service = start.call.options.ci
    if service not in SERVICES:
        raise UsageError(f"--ci is one of {', '.join(SERVICES)}, not {service!r}.")
    top = next((f for f in (start.root, *start.root.parents) if (f / ".git").exists()), start.root)
    server, names = _server_and_variables(start, contents)
    text = workflow(
        str(service),
        server=server or EXAMPLE,
        hatch=start.runner == "hatch",
        variables=names,
        folder=Path(os.path.relpath(start.root, top)).as_posix(),
    )
    path = top / SERVICES[str(service)]
    if path.exists():
        start.notes.append(f"{path} is there already, and stays as it is. What it needs:\n{text}")
        return None
    if server is None:
        start.notes.append(f"Correct CONNECT_SERVER in {SERVICES[str(service)]}.")
    return _File(path=path, before=None, after=text.encode())


def _server_and_variables(
    start: _Start, contents: tuple[_Content, ...]
) -> tuple[str | None, tuple[str, ...]]:
    """Return the server that a workflow deploys to, and the variables that it must have."""
    table = start.tables.table(*OURS) or {}
    tables = [table, *(content.settings for content in contents)]
    names = (text.partition("=") for each in tables for text in texts_at(each, "env"))
    named = [url for each in tables if (url := text_at(each, "server")) and "://" in url]
    if not named:
        with suppress(StoreError):
            store = server_store(start.call)
            default = store.default_name()
            saved = store.get(default) if default else None
            named = [saved.url] if saved else []
    return next(iter(named), None), tuple(name for name, given, _ in names if not given)


def _finished(start: _Start, contents: tuple[_Content, ...], files: tuple[_File, ...]) -> Result:
    """Show what changes, ask, and write it."""
    call = start.call
    diff = tuple(line for each in files for line in each.diff(start.root))
    facts = {
        "root": str(start.root),
        "contents": [
            {"name": c.name, "because": c.because, "settings": dict(c.settings)} for c in contents
        ],
        "files": [str(each.path) for each in files],
        "diff": "\n".join(diff),
        "written": False,
    }
    if call.options.dry_run:
        return Result(lines=diff, facts=facts, marked=True)
    if not files:
        call.report(Note(text="Nothing is left to be written."))
        return Result(facts=facts)
    if not call.options.yes:
        call.report(Note(text="\n".join(diff)))
        if call.surroundings.ask is None:
            raise UsageError(
                "Nothing was written: there is no terminal to prompt on.",
                hint="To write this, run `hatch-connect init --yes`.",
            )
        if not call.agrees("Write this?"):
            raise UsageError("Nothing was written.")
    for each in files:
        _write(each)
    for step in _next(start, contents):
        call.report(Note(text=step))
    names = [Path(os.path.relpath(each.path, start.root)).as_posix() for each in files]
    return Result(lines=tuple(f"Wrote {name}" for name in names), facts=facts | {"written": True})


def _write(file: _File) -> None:
    """Write a file in one step, unless it was changed meanwhile."""
    path = file.path.resolve()
    if file.before != (path.read_bytes() if path.exists() else None):
        raise UsageError(f"{path} was changed meanwhile, and stays as it is.", hint="Try again.")
    scratch = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(file.after)
        if file.before is not None:
            scratch.chmod(path.stat().st_mode)
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error


def _next(start: _Start, contents: tuple[_Content, ...]) -> Iterator[str]:
    """Return what remains to be done."""
    if start.runner == "invoke" and _NAMESPACE.encode() not in start.data(_TASKS):
        yield f"Add this line to {_TASKS}: {_NAMESPACE}"
    tables = ProjectTables(root=start.root, pyproject=start.tables.pyproject, hatch={}, marked=())
    locked = any((start.root / name).is_file() for name in ("uv.lock", "requirements.txt"))
    if contents and not locked and tables.table("project") is not None:
        yield "Lock the packages: uv lock"
    command = {"hatch": "hatch run connect-deploy", "invoke": "invoke deploy"}
    run = command.get(start.runner, "hatch-connect deploy")
    yield f"Deploy to a Connect on this machine: {run} --local"
    yield f"Deploy to your server: {run} --name NAME"
