"""`init`: find out what a project is, and write what it takes to deploy it.

It reads what Posit Publisher and the official client left, so that the first deployment updates the
content that they deployed. Files of the project are extended, and nothing in them is changed.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import tomllib
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from shutil import copymode
from typing import TYPE_CHECKING

from hatch_connect.bundle.archive import replacing
from hatch_connect.commands.additions import Addition, CannotAddError, with_additions
from hatch_connect.commands.result import Result
from hatch_connect.commands.runner import (
    EXAMPLE,
    SERVICES,
    hatch_additions,
    server_and_variables,
    workflow,
)
from hatch_connect.commands.server import server_store
from hatch_connect.commands.setup import TASKS, Start, StartContent, find_contents, project_folder
from hatch_connect.errors import HatchConnectError, LockError, StoreError, UsageError
from hatch_connect.events import Note
from hatch_connect.locks import find_lock
from hatch_connect.project.interpreter import Interpreter
from hatch_connect.project.metadata import read_metadata
from hatch_connect.project.project import Project
from hatch_connect.project.python_version import choose_python
from hatch_connect.project.reading import HATCH, PYPROJECT, ProjectTables, read_bytes
from hatch_connect.typed import text_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hatch_connect.commands.call import Call
    from hatch_connect.locks.lock import LockFile
    from hatch_connect.project.project import ProjectConfig

_VERSION = re.compile(r"^version(?:_info)?\s*=\s*(3\.[0-9]+)", re.MULTILINE)
_PYTHONS = ("3.12", "3.13", "3.11", "3.14", "3.10", "3.9")
_FROM_HERE = (
    "hatch-connect was installed from this machine, and the project now names that address:"
    " before others or CI use the project, put one there that they can reach."
)
_NAMESPACE = "from invoke_tasks import ns"


def run_init(call: Call) -> Result:
    """Write what is missing. Raises UsageError, ConfigurationError; then nothing is written."""
    start = Start(call=call, root=project_folder(call))
    contents = () if start.is_configured else find_contents(start)
    files = _files(start, contents)
    for note in start.notes:
        call.report(Note(text=note))
    return _finished(start, contents, files)


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


def _files(start: Start, contents: tuple[StartContent, ...]) -> tuple[_File, ...]:
    """Return what is to be written. Raises UsageError, ConfigurationError."""
    additions = _additions(contents)
    if contents:
        after = _extended(start, PYPROJECT, additions)
        configs = _read_again(start, after, contents)
        completed = _with_python(start, contents, configs)
        if completed != contents:
            additions = _additions(completed)
            _read_again(start, _extended(start, PYPROJECT, additions), contents)
    _report_found(start, contents)
    by_file = {PYPROJECT: additions, HATCH: []}
    for name, addition in hatch_additions(start) if start.runner == "hatch" else ():
        by_file[name].append(addition)
    added = [line for wanted in by_file.values() for each in wanted for line in each.lines]
    files = [_file(start, name, wanted) for name, wanted in by_file.items()]
    if start.call.options.ci:
        flow = _workflow(start, contents)
        files.append(flow)
        added += flow.after.decode().splitlines() if flow else []
        added += start.data(PYPROJECT).decode("utf-8-sig").splitlines()
    if any("hatch-connect" in line and "@ file:" in line for line in added):
        start.notes.append(_FROM_HERE)
    return tuple(each for each in files if each is not None)


def _additions(contents: Iterable[StartContent]) -> list[Addition]:
    return [addition for content in contents for addition in content.tables]


def _file(start: Start, name: str, additions: list[Addition]) -> _File | None:
    before, path = start.data(name), start.root / name
    after = _extended(start, name, additions)
    if after == before:
        return None
    return _File(path=path, before=before if path.exists() else None, after=after)


def _extended(start: Start, name: str, additions: list[Addition]) -> bytes:
    try:
        return with_additions(start.data(name), additions)
    except CannotAddError:
        lines = "\n\n".join("\n".join(each.lines) for each in additions)
        raise UsageError(
            f"Cannot extend {name} without changing the rest of it. Nothing was written.",
            hint=f"Add these lines yourself:\n\n{lines}",
        ) from None


def _read_again(
    start: Start, after: bytes, contents: tuple[StartContent, ...]
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


def _with_python(
    start: Start, contents: tuple[StartContent, ...], configs: tuple[ProjectConfig, ...]
) -> tuple[StartContent, ...]:
    """Return the contents, with a Python in the first table where nothing states one."""
    completed = []
    for content, config in zip(contents, configs, strict=True):
        first, *below = content.tables
        if python := _python(start, config, content.python):
            first = replace(first, values={**first.values, "python-version": python})
        completed.append(replace(content, tables=(first, *below)))
    return tuple(completed)


def _python(start: Start, config: ProjectConfig, deployed: str) -> str | None:
    """Return the Python of content for which nothing states one; None if one is, or none fits.

    `deployed` is the one that another client deployed it with, as far as that is known.
    """
    if not config.app_mode.has_python:
        return None
    lock = _lock(start, config)
    lock_python = lock.lock_python if lock else None
    with suppress(HatchConnectError):
        choose_python(config, lock_python=lock_python)
        return None
    for interpreter, because in _interpreters(start, deployed):
        ask = partial(_same, interpreter)
        with suppress(HatchConnectError):  # one that the project excludes
            python = choose_python(config, lock_python=lock_python, interpreter=ask)
            start.notes.append(f'python-version = "{python.minor}": {because}')
            return python.minor
    return None


def _lock(start: Start, config: ProjectConfig) -> LockFile | None:
    """Return the lock; without one, note how to make it."""
    try:
        lock = find_lock(config)
    except LockError as error:
        start.todo.append(f"{error.message} {error.hint or ''}")
        return None
    if lock is None and not config.app_mode.is_quarto:  # which may need none
        has_project = config.metadata.has_project
        how = "uv lock" if has_project else "pip freeze > requirements.txt"
        start.todo.append(f"Lock the packages: {how}")
    return lock


def _interpreters(start: Start, deployed: str) -> Iterator[tuple[Interpreter, str]]:
    """Return the one deployed, that of the project's virtual environment, our own, and others."""
    ours = start.call.surroundings.interpreter
    if deployed:
        yield _interpreter(ours, deployed), "the version that it was deployed with"
    active = start.call.environ.get("VIRTUAL_ENV")
    for folder in (start.root / ".venv", start.root / "venv", *([Path(active)] if active else [])):
        with suppress(OSError, UnicodeDecodeError):
            found = _VERSION.search((folder / "pyvenv.cfg").read_text(encoding="utf-8"))
            if found:
                yield _interpreter(folder, found[1]), f"as in the virtual environment {folder.name}"
    own = "{}.{}".format(*sys.version_info)
    yield _interpreter(ours, own), "as here, because nothing states one"
    for version in _PYTHONS:
        yield _interpreter(ours, version), "because the project allows it, and nothing states one"


def _interpreter(path: Path, version: str) -> Interpreter:
    return Interpreter(path=path, version=version, implementation="cpython")


def _same(interpreter: Interpreter) -> Interpreter:
    return interpreter


def _report_found(start: Start, contents: tuple[StartContent, ...]) -> None:
    if not contents:
        start.notes.append(
            f"{PYPROJECT} already has [tool.hatch-connect], which was left unchanged."
        )
    for content in reversed(contents):  # each goes before all
        called = f"{content.name}: " if content.name else ""
        shown = ", ".join(
            f'{key} = "{content.settings[key]}"'
            for key in ("app-mode", "entrypoint")
            if key in content.settings
        )
        start.notes.insert(0, f"{called}{shown}: {content.because}")


def _workflow(start: Start, contents: tuple[StartContent, ...]) -> _File | None:
    """Return the workflow of a CI service, at the top of the repository."""
    service = start.call.options.ci
    if service not in SERVICES:
        raise UsageError(
            f"`{service}` is not a supported CI service.",
            hint=f"Use one of: {', '.join(SERVICES)}.",
        )
    top = next((f for f in (start.root, *start.root.parents) if (f / ".git").exists()), start.root)
    server, names = server_and_variables(start, contents)
    text = workflow(
        str(service),
        server=server or EXAMPLE,
        hatch=start.runner == "hatch",
        variables=names,
        folder=Path(os.path.relpath(start.root, top)).as_posix(),
    )
    path = top / SERVICES[str(service)]
    if path.exists():
        start.notes.append(f"{path} already exists, and was left unchanged. Add what is printed.")
        # Not in a note: the commands of a workflow are not this call's.
        start.to_add.extend(text.splitlines())
        return None
    if server is None:
        start.notes.append(
            f"Set CONNECT_SERVER in {SERVICES[str(service)]} to the URL of your server."
        )
    return _File(path=path, before=None, after=text.encode())


def _finished(start: Start, contents: tuple[StartContent, ...], files: tuple[_File, ...]) -> Result:
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
        return Result(lines=(*diff, *start.to_add), facts=facts, marked=True)
    if not files:
        call.report(Note(text="Already set up: nothing to write."))
        return Result(lines=tuple(start.to_add), facts=facts)
    if not call.options.yes:
        call.report(Note(text="\n".join(diff)))
        call.confirm(
            "Write this?",
            refused="Nothing was written",
            hint="To write this, run `hatch-connect init --yes`.",
        )
    _write(files)
    for step in _next(start, contents):
        call.report(Note(text=step))
    names = [Path(os.path.relpath(each.path, start.root)).as_posix() for each in files]
    wrote = (f"Wrote {name}" for name in names)
    return Result(lines=(*wrote, *start.to_add), facts=facts | {"written": True})


def _write(files: tuple[_File, ...]) -> None:
    """Write each file in one step, or none if one was changed meanwhile."""
    for each in files:
        if each.before != (read_bytes(each.path) if each.path.exists() else None):
            raise UsageError(
                f"{each.path} was changed in the meantime. Nothing was written.", hint="Try again."
            )
    for number, each in enumerate(files):
        target = each.path.resolve()
        try:
            with replacing(target) as partial:
                partial.write_bytes(each.after)
                if each.before is not None:
                    copymode(target, partial)
        except HatchConnectError as error:
            for written in files[:number]:
                error.add_note(f"{written.path} was written.")
            raise


def _next(start: Start, contents: tuple[StartContent, ...]) -> Iterator[str]:
    """Return what remains to be done."""
    if start.runner == "invoke" and _NAMESPACE.encode() not in start.data(TASKS):
        yield f"Add this line to {TASKS}: {_NAMESPACE}"
    yield from dict.fromkeys(start.todo)
    command = {"hatch": "hatch run connect-deploy", "invoke": "invoke deploy"}
    run = command.get(start.runner, "hatch-connect deploy") + (
        " --all" if len(contents) > 1 else ""
    )
    yield f"Deploy to a Connect on this machine: {run} --local"
    tables = _additions(contents)
    named = {
        each.table[-1]: text_at(each.values, "server") for each in tables if each.table[-2] == "on"
    }
    servers = dict.fromkeys(text_at(content.settings, "server") for content in contents)
    if named:
        for name, server in named.items():
            yield from _key(start, run, name, server)
            yield f"Deploy to {name}: {run} --name {name}"
    elif len(servers) == 1 and (server := next(iter(servers))):
        yield from _key(start, run, "NAME", server)
        yield f"Deploy to {server}: {run}"
    else:
        yield f"Deploy to your server: {run} --name NAME"


def _key(start: Start, run: str, name: str, server: str | None) -> Iterator[str]:
    """Return how to save the key for a server, unless one is saved."""
    with suppress(StoreError):
        if server and server_store(start.call).find(server) is None:
            add = run.replace("deploy", "add").removesuffix(" --all")
            yield f"Save your API key: {add} --name {name} --server {server}"
