"""What launches content, in a folder of its own: uvicorn, a2wsgi, websockets and what they need.

They are no part of the user's lock, so they are appended to the end of the content's `sys.path`.
They are copied from the server's own installation, which needs no package registry, unless they
do not support the content's Python.
"""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from hatch_connect.local.pythons import minor_of

if TYPE_CHECKING:
    from importlib.metadata import Distribution
    from pathlib import Path

    from hatch_connect.local.pythons import Python
    from hatch_connect.local.restore import Environments

_PACKAGES = ("uvicorn", "a2wsgi", "websockets")
_COMPLETE = ".complete"


async def prepare_runtime(folder: Path, python: Python, environments: Environments) -> Path:
    """Return the folder that lets content on `python` be served; raises BundleError."""
    target = folder / minor_of(python.version)
    found = supporting(python.version)
    versions = " ".join(sorted(f"{one.name}=={one.version}" for one in found))
    complete = target / _COMPLETE
    if complete.exists() and complete.read_text(encoding="utf-8") == versions:
        return target
    shutil.rmtree(target, ignore_errors=True)
    if found:
        for one in found:
            _copy(one, target)
    else:
        where = ("--target", target, "--python", python.path)
        await environments.uv("pip", "install", *where, *_PACKAGES, write=lambda _line: None)
    complete.write_text(versions, encoding="utf-8")
    return target


def supporting(python_version: str) -> tuple[Distribution, ...]:
    """Return our own distributions that serve content on that Python; none if one does not."""
    minor = minor_of(python_version)
    found: dict[str, Distribution] = {}
    wanted = list(_PACKAGES)
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        try:
            one = distribution(name)
        except PackageNotFoundError:
            return ()
        if not SpecifierSet(one.metadata["Requires-Python"] or "").contains(python_version):
            return ()
        found[name] = one
        marker_environment = {"python_version": minor, "python_full_version": python_version}
        for requirement in map(Requirement, one.requires or ()):
            marker = requirement.marker
            if marker is None or marker.evaluate({"extra": "", **marker_environment}):
                wanted.append(requirement.name)
    return tuple(found.values())


def _copy(one: Distribution, target: Path) -> None:
    for file in one.files or ():
        # Scripts lie outside site-packages; compiled files are of one Python.
        if ".." in file.parts or file.suffix == ".pyc":
            continue
        destination = target.joinpath(*file.parts)
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.locate(), destination)
