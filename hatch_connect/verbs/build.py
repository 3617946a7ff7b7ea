"""The project that a call is about, and the verbs that need no server.

`bundle` builds the bundle; `manifest` leaves its content as a folder that can be deployed or
committed; `requirements` shows the packages, and why each is there or is not.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cache, partial
from typing import TYPE_CHECKING

from hatch_connect.bundle.artifact import write_in_place
from hatch_connect.bundle.build import build
from hatch_connect.bundle.build_protocol import BuildRequest
from hatch_connect.bundle.packages import decide_packages
from hatch_connect.errors import InterpreterError, LockError, UsageError
from hatch_connect.events import Detail, Note, Step, Warned
from hatch_connect.locks import find_lock
from hatch_connect.locks.freeze import freeze
from hatch_connect.locks.path_dependencies import apply_declared_sources, unsatisfied
from hatch_connect.project.interpreter import (
    FALLBACK,
    find_interpreter,
    inspect_interpreter,
    tool_of,
)
from hatch_connect.project.target import Target
from hatch_connect.verbs.call import project_of
from hatch_connect.verbs.result import Result, listing_of, one_or_several

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from hatch_connect.bundle.build_protocol import Built
    from hatch_connect.bundle.packages import Packages
    from hatch_connect.events import Report
    from hatch_connect.locks.lock import Lock
    from hatch_connect.options import Options
    from hatch_connect.project.interpreter import Interpreter
    from hatch_connect.project.project import Project, ProjectConfig
    from hatch_connect.verbs.call import Surroundings


def contents_of(options: Options, project: Project) -> tuple[str | None, ...]:
    """Return the pieces of content that the call is about; None is the main one.

    Raises UsageError if the project describes several and the call names none.
    """
    every = project.contents
    if options.all and options.content:
        raise UsageError("--all is every piece of content, --content some: give one of them.")
    chosen: tuple[str | None, ...] = every if options.all else options.content
    if not chosen and (None in every or len(every) == 1):
        chosen = every[:1]
    if not chosen:
        raise UsageError(
            f"The project describes several pieces of content: {', '.join(map(str, every))}.",
            hint="Name one with --content NAME, or all of them with --all.",
        )
    if len(chosen) > 1 and (options.title or options.entrypoint or options.app_id):
        raise UsageError(
            "--title, --entrypoint and --app-id are of one piece of content, and several are "
            f"asked for: {', '.join(name or 'the main one' for name in chosen)}."
        )
    return tuple(dict.fromkeys(chosen))


def content_of(options: Options, project: Project) -> str | None:
    """Return the one piece of content that the call is about."""
    first, *others = contents_of(options, project)
    if others:
        raise UsageError("This is about one piece of content.", hint="Name it: --content NAME.")
    return first


def request_for(
    config: ProjectConfig, options: Options, surroundings: Surroundings
) -> BuildRequest:
    """Return what the call asks of the build of this content.

    Without a lock, the packages of an environment are used, as Connect's user guide describes.
    Raises LockError, InterpreterError.
    """
    request = BuildRequest(
        root=config.root,
        project=config.project,
        overrides=options.overrides(),
        contents=(config.content,) if config.content else (),
        python_option=options.python_version,
        options_of_python=tuple(_of_python(config, options)),
    )
    if not config.app_mode.has_python and not config.rendered:
        return request
    lock = None if config.rendered else find_lock(config)
    find = partial(
        find_interpreter,
        surroundings.environ,
        option=options.python,
        fallback=surroundings.interpreter,
    )
    if config.rendered or lock:
        return replace(request, lock=lock, inspect=cache(partial(_inspected, find)))
    path, because = find()
    interpreter = inspect_interpreter(path)
    request = replace(request, interpreter=interpreter)
    told = "Shipping" if config.force_generate else "Nothing is locked: shipping"
    warning = f"{told} what is installed in {path} ({because})."
    if because == FALLBACK:
        warning += _require_no_tool(interpreter, config, surroundings.environ)
    return replace(request, installed=_installed(interpreter, config, warning))


def _inspected(find: Callable[[], tuple[Path, str]]) -> Interpreter | None:
    """Ask an interpreter that something locked can do without."""
    try:
        return inspect_interpreter(find()[0])
    except InterpreterError:
        return None


def _of_python(config: ProjectConfig, options: Options) -> Iterator[str]:
    if options.python and not config.rendered:
        yield "--python"
    if options.python_version:
        yield "--python-version"


def _require_no_tool(
    interpreter: Interpreter, config: ProjectConfig, environ: Mapping[str, str]
) -> str:
    """Refuse the environment of a tool; return what the warning must add."""
    tool = tool_of(interpreter, environ)
    if tool is None:
        with_hatch = any(one.name.lower() == "hatch" for one in interpreter.packages)
        return " Hatch is installed there, and ships too." if with_hatch else ""
    if not config.force_generate and not config.dependencies:
        raise LockError(
            f"Nothing is locked, and {interpreter.path} is {tool}: what is installed there is not"
            " what the project needs.",
            hint="Lock the project (`uv lock`), or name the interpreter that it runs on:"
            " --python PATH. `--force-generate` takes that environment all the same.",
        )
    return f" That is {tool}, not the project's."


def _installed(interpreter: Interpreter, config: ProjectConfig, warning: str) -> Lock:
    """Return what is installed as a lock.

    Its notes, which are reported if it ships, begin with the warning. Raises LockError if a
    requirement of the project is not installed.
    """
    frozen = freeze(interpreter, own_name=config.project_name, root=config.root)
    target = Target(python=interpreter.minor)
    frozen = apply_declared_sources(frozen, config, target, uv=False)
    missing = unsatisfied(
        config, frozen.pins, target, local=frozen.local, called=str(interpreter.path)
    )
    if missing:
        raise LockError(
            "\n".join((warning, *missing)),
            hint="Lock the project (`uv lock`), or name the interpreter it runs on: --python PATH",
        )
    return replace(frozen, notes=(warning, *_unread(config), *frozen.notes))


def _unread(config: ProjectConfig) -> Iterator[str]:
    """Return a note on each file that may list what the project needs, if `[project]` does not."""
    if config.dependencies:
        return
    setup_cfg = config.root / "setup.cfg"
    if (config.root / "setup.py").is_file():
        name, command = "setup.py", "uv pip compile setup.py -o requirements.txt"
    elif setup_cfg.is_file() and b"install_requires" in setup_cfg.read_bytes():
        name, command = "setup.cfg", "uv pip compile setup.cfg -o requirements.txt"
    elif config.project.tables.table("tool", "poetry", "dependencies"):
        name, command = "`tool.poetry.dependencies`", "poetry export -f pylock.toml -o pylock.toml"
    else:
        return
    yield f"{name} says what the project needs, and is not read: `{command}` makes a list of it."


def with_packages(config: ProjectConfig, request: BuildRequest) -> BuildRequest:
    """Decide the packages before the build, unless that depends on the content.

    Raises LockError or PythonVersionError before the project's build runs, which may take long.
    """
    if not config.app_mode.has_python or config.app_mode.name.startswith("quarto"):
        return request
    return replace(request, packages=decide_packages(config, request))


def build_contents(
    options: Options, surroundings: Surroundings, project: Project, report: Report
) -> tuple[Built, ...]:
    """Build the bundle of each piece of content that the call is about."""
    names = contents_of(options, project)
    configs = (project.content(name, overrides=options.overrides()) for name in names)
    requests = [with_packages(c, request_for(c, options, surroundings)) for c in configs]
    return tuple(build_content(request, surroundings, report) for request in requests)


def build_content(request: BuildRequest, surroundings: Surroundings, report: Report) -> Built:
    """Build one bundle and say what it was made from."""
    of = "".join(f" of {content}" for content in request.contents)
    report(Step(text=f"Building the bundle{of}"))
    built, *_ = build(request, surroundings.environ, report)
    bundle, lock = built.bundle, built.lock
    if lock is not None:
        named = lock.path.name if lock.path else "what is installed"
        count = len(lock.pins)
        report(Note(text=f"{count} package{'' if count == 1 else 's'} from {named}"))
    if built.python is not None:
        report(Note(text=f"Python {built.python.asked}: {built.python.because}"))
    files = len(bundle.manifest.files) + 1  # with the manifest
    report(Note(text=f"{files} files, {bundle.size:,} bytes: {bundle.path}"))
    report(Detail(text=f"digest {bundle.digest}"))
    return built


def run_bundle(options: Options, surroundings: Surroundings, report: Report) -> Result:
    """Build the bundles. Raises ProjectError."""
    project = project_of(options, surroundings)
    results = []
    for built in build_contents(options, surroundings, project, report):
        bundle, path = built.bundle, str(built.bundle.path)
        facts = {"bundle": path, "size": bundle.size, "digest": bundle.digest, "md5": bundle.md5}
        results.append(_written(path, facts, built, options))
    return one_or_several(results)


def run_manifest(options: Options, surroundings: Surroundings, report: Report) -> Result:
    """Write the folders, or with `--in-place` the files beside pyproject.toml.

    Raises ProjectError, also if `--in-place` would have to move files.
    """
    project = project_of(options, surroundings)
    if options.in_place:
        content_of(options, project)
    results = []
    for built in build_contents(options, surroundings, project, report):
        path = _write_manifest(built, options, project, report)
        facts = {"manifest": str(path), "folder": str(path.parent)}
        results.append(_written(str(path), facts, built, options))
    return one_or_several(results)


def _written(path: str, facts: Mapping[str, object], built: Built, options: Options) -> Result:
    """Return where something was written, or with `--list` what is in it."""
    listing = listing_of(built if options.list else None)
    return Result(lines=listing.lines or (path,), facts={**facts, **listing.facts})


def _write_manifest(built: Built, options: Options, project: Project, report: Report) -> Path:
    config = project.content(built.content, overrides=options.overrides())
    if options.in_place:
        return write_in_place(config, built.bundle)
    folder = built.bundle.path.parent / config.content_name
    built.bundle.extract(folder)
    report(Note(text=f"Deploy it with: hatch-connect deploy {folder}"))
    return folder / "manifest.json"


def run_requirements(options: Options, surroundings: Surroundings, report: Report) -> Result:
    """Decide the packages. No table of ours is needed. Raises ProjectError."""
    project = project_of(options, surroundings)
    results = []
    for name in contents_of(options, project):
        config = project.content(name, overrides=options.overrides(), packages_only=True)
        packages = decide_packages(config, request_for(config, options, surroundings))
        for note in packages.lock.notes:
            report(Warned(text=note))
        report(Detail(text=f"{packages.lock.called}: {packages.because}"))
        text = packages.content.decode("utf-8-sig")
        lines = _explained(packages) if options.explain else text.splitlines()
        results.append(Result(lines=tuple(lines), facts=_facts_of(packages, text)))
    return one_or_several(results)


def _explained(packages: Packages) -> Iterator[str]:
    """Return a line of reasons for each package."""
    lock = packages.lock
    yield f"Packages from {lock.called} for {packages.target}:"
    yield from (f"  {pin.requirement}  <- {pin.because}" for pin in lock.pins)
    if lock.local:
        yield "In the bundle itself, built from their own projects:"
        yield from (f"  {one.name} ({one.path})  <- {one.because}" for one in lock.local)
    if lock.omitted:
        yield "Left out:"
        for one in lock.omitted:
            version = f" {one.version}" if one.version else ""
            yield f"  {one.name}{version}: {one.because}"


def _facts_of(packages: Packages, text: str) -> dict[str, object]:
    """Return the list, what it comes from, and all reasons."""
    lock, target, python = packages.lock, packages.target, packages.python
    return {
        "requirements": text,
        "lock": str(lock.path) if lock.path else None,
        "format": lock.format,
        "sha256": lock.sha256,
        "because": packages.because,
        "target": {"python": target.python, "system": target.system, "machine": target.machine},
        "python": {
            "version": python.version,
            "requires": python.requires,
            "because": python.because,
        },
        "packages": [{**asdict(pin), "hashes": list(pin.hashes)} for pin in lock.pins],
        "bundled": [
            {"name": one.name, "path": str(one.path), "because": one.because} for one in lock.local
        ],
        "left_out": [asdict(one) for one in lock.omitted],
        "notes": list(lock.notes),
    }
