"""The commands that need no server, and building as `deploy` does it too.

`bundle` builds the bundle; `manifest` leaves its content as a folder that can be deployed or
committed; `requirements` shows the packages, and why each is there or is not.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hatch_connect.bundle.artifact import write_in_place
from hatch_connect.bundle.build import build
from hatch_connect.bundle.build_protocol import BuildRequest
from hatch_connect.bundle.bundle import Bundle
from hatch_connect.bundle.manifest import MANIFEST_NAME
from hatch_connect.bundle.packages import PackageInputs, decide_packages
from hatch_connect.commands.result import Result, listing_of, one_or_several
from hatch_connect.errors import InterpreterError, LockError, counted
from hatch_connect.events import Detail, Note, Step, Warned
from hatch_connect.locks import find_lock
from hatch_connect.locks.declared_sources import apply_declared_sources, unsatisfied
from hatch_connect.locks.freeze import freeze
from hatch_connect.project.interpreter import (
    FALLBACK,
    find_interpreter,
    inspect_interpreter,
    tool_of,
)
from hatch_connect.project.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hatch_connect.bundle.build_protocol import Built, Form
    from hatch_connect.bundle.packages import Packages
    from hatch_connect.commands.call import Call
    from hatch_connect.locks.lock import Lock
    from hatch_connect.options import Options
    from hatch_connect.project.interpreter import Interpreter
    from hatch_connect.project.project import ProjectConfig


def _inputs(config: ProjectConfig, call: Call) -> PackageInputs:
    """Return what the call knows of the packages and the Python of this content.

    Without a lock, the packages of an environment are used, as Connect's user guide describes.
    Raises LockError, InterpreterError.
    """
    if not config.app_mode.has_python and not config.rendered:
        return PackageInputs()
    lock_file = None if config.rendered else find_lock(config)
    find = partial(
        find_interpreter,
        call.environ,
        option=call.options.python,
        fallback=call.surroundings.interpreter,
    )
    if config.rendered or lock_file:
        return PackageInputs(lock_file=lock_file, inspect=cache(partial(_inspected, find)))
    path, because = find()
    interpreter = inspect_interpreter(path)
    shipping = "Shipping" if config.force_generate else "Nothing is locked: shipping"
    warning = f"{shipping} what is installed in {path} ({because})."
    if because == FALLBACK:
        warning += _require_no_tool(interpreter, config, call.environ)
    unlocked = "" if config.force_generate else "Nothing is locked, and "
    refusal = f"{unlocked}{path} ({because}) does not have what the project needs:"
    installed = _installed(interpreter, config, warning, refusal)
    return PackageInputs(installed=installed, inspect=lambda: interpreter)


def _inspected(find: Callable[[], tuple[Path, str]]) -> Interpreter | None:
    """Ask an interpreter that something locked can do without."""
    try:
        return inspect_interpreter(find()[0])
    except InterpreterError:
        return None


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
            f"Nothing is locked, and {interpreter.path} is {tool}: its packages are not"
            " those of the project.",
            hint="Lock the project (`uv lock`), or choose the project's interpreter with"
            " --python PATH. To ship that environment anyway, use --force-generate.",
        )
    return f" That is {tool}, not the project's."


def _installed(interpreter: Interpreter, config: ProjectConfig, warning: str, refusal: str) -> Lock:
    """Return what is installed as a lock.

    Its notes, which are reported if it ships, begin with the warning. Raises LockError, which
    begins with `refusal`, if a requirement of the project is not installed.
    """
    frozen = freeze(interpreter, own_name=config.project_name, root=config.root)
    target = Target(python=interpreter.minor, machine=config.architecture)
    frozen = apply_declared_sources(frozen, config, target, uv=False)
    missing = unsatisfied(
        config, frozen.pins, target, local=frozen.local, called=str(interpreter.path)
    )
    if missing:
        raise LockError(
            "\n".join((refusal, *missing)),
            hint="Lock the project (`uv lock`), or choose its interpreter with --python PATH.",
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
    yield f"{name} is not read: lock the dependencies that it declares with `{command}`."


def build_request(config: ProjectConfig, call: Call) -> BuildRequest:
    """Return what the call asks of a build, with the packages unless they depend on the content.

    Raises LockError or PythonVersionError before the project's build runs, which may take long.
    """
    request = BuildRequest(
        config=config,
        inputs=_inputs(config, call),
        options_of_python=tuple(_of_python(config, call.options)),
    )
    if not config.app_mode.has_python or config.app_mode.is_quarto:
        return request
    return replace(request, packages=request.decide_packages())


def _of_python(config: ProjectConfig, options: Options) -> Iterator[str]:
    if options.python and not config.rendered:
        yield "--python"
    if options.python_version:
        yield "--python-version"


def _build_contents(call: Call, form: Form = "archive") -> list[tuple[ProjectConfig, Built]]:
    """Build each piece of content that the call is about."""
    configs = (call.config(content) for content in call.contents())
    requests = [replace(build_request(config, call), form=form) for config in configs]
    if form == "manifest":
        with TemporaryDirectory(prefix="hatch-connect-") as folder:
            # Hatchling makes the folder of its builds, even if nothing is to be put there.
            asked = [replace(request, directory=Path(folder)) for request in requests]
            return [(request.config, build_content(request, call)) for request in asked]
    return [(request.config, build_content(request, call)) for request in requests]


def build_content(request: BuildRequest, call: Call) -> Built:
    """Build one bundle and say what it was made from."""
    report = call.report
    of = f" of {request.config.content}" if request.config.content else ""
    report(Step(text=f"Building the bundle{of}"))
    built = build(request, call.environ, report)
    contents, lock = built.contents, built.lock
    if lock is not None:
        named = lock.path.name if lock.path else "what is installed"
        report(Note(text=f"{counted(len(lock.pins), 'package')} from {named}"))
    if built.python is not None:
        report(Note(text=f"Python {built.python.asked}: {built.python.because}"))
    files = counted(len(contents.sizes), "file")
    if isinstance(contents, Bundle):
        files += f", {contents.size:,} bytes: {contents.path}"
    report(Note(text=files))
    report(Detail(text=f"digest {contents.digest}"))
    return built


def run_bundle(call: Call) -> Result:
    """Build the bundles. Raises ProjectError."""
    results = []
    for _, built in _build_contents(call):
        bundle, path = built.bundle, str(built.bundle.path)
        facts = {"bundle": path, "size": bundle.size, "digest": bundle.digest, "md5": bundle.md5}
        results.append(_written(path, facts, built, call.options))
    return one_or_several(results)


def run_manifest(call: Call) -> Result:
    """Write the folders, or with `--in-place` the files beside pyproject.toml.

    Raises ProjectError, also if `--in-place` would have to move files.
    """
    if call.options.in_place:
        call.content()
    results = []
    for config, built in _build_contents(call, "manifest" if call.options.in_place else "folder"):
        path = _write_manifest(config, built, call)
        facts = {"manifest": str(path), "folder": str(path.parent)}
        results.append(_written(str(path), facts, built, call.options))
    return one_or_several(results)


def _written(path: str, facts: Mapping[str, object], built: Built, options: Options) -> Result:
    """Return where something was written, or with `--list` what is in it."""
    listing = listing_of(built, options)
    return Result(lines=listing.lines or (path,), facts={**facts, **listing.facts})


def _write_manifest(config: ProjectConfig, built: Built, call: Call) -> Path:
    if call.options.in_place:
        return write_in_place(config, built)
    folder = built.bundle.path
    if not folder.is_dir():  # by an earlier release, which the project's build requires
        folder = folder.parent / config.content_name
        built.bundle.extract(folder)
    call.report(Note(text=f"Deploy it with: hatch-connect deploy {folder}"))
    return folder / MANIFEST_NAME


def run_requirements(call: Call) -> Result:
    """Decide the packages. No table of ours is needed. Raises ProjectError."""
    results = []
    for content in call.contents():
        config = call.config(content, packages_only=True)
        packages = decide_packages(config, _inputs(config, call))
        for note in packages.lock.notes:
            call.report(Warned(text=note))
        call.report(Detail(text=f"{packages.lock.called}: {packages.because}"))
        text = packages.content.decode("utf-8-sig")
        lines = _explained(packages) if call.options.explain else text.splitlines()
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
