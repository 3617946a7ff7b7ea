"""What is installed for content: its packages, and what launches it.

A virtual environment is made once for each list of packages and Python.

What launches content is uvicorn, a2wsgi, websockets and what they need. They are no part of the
user's lock, so they are appended to the end of the content's `sys.path`. They are copied from the
server's own installation, which needs no package registry, unless they do not support the
content's Python.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from hatch_connect.errors import BundleError
from hatch_connect.local.checks import check
from hatch_connect.local.disk import no_space, tells_no_space
from hatch_connect.local.files import COMPLETE, remove_folder
from hatch_connect.local.processes import run_logged
from hatch_connect.local.pythons import uv_environ
from hatch_connect.project.target import minor_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from importlib.metadata import Distribution

    from hatch_connect.local.pythons import Python
    from hatch_connect.local.state import StoredBundle

REUSED = "The package list is unchanged: reusing its environment."
_LOCK = "requirements.txt.lock"
_INTERPRETER = "interpreter"
# Prints the wheel of setuptools that a Python below 3.12 brings, which needs no package index.
_OWN_SETUPTOOLS = """
import ensurepip, glob, os, sysconfig
bundled = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")
for folder in (bundled, sysconfig.get_config_var("WHEEL_PKG_DIR"), "/usr/share/python-wheels"):
    for wheel in glob.glob(os.path.join(folder or "", "setuptools-*.whl")):
        print(wheel)
"""
_WITHOUT_SETUPTOOLS = Version("3.12")  # the first that makes environments without it
_PACKAGES = ("uvicorn", "a2wsgi", "websockets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A virtual environment that holds a package list, or the name of an interpreter as it is."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        with suppress(FileNotFoundError):
            return Path((self.folder / _INTERPRETER).read_text(encoding="utf-8"))
        windows = self.folder / "Scripts" / "python.exe"
        return windows if windows.exists() else self.folder / "bin" / "python"

    @property
    def lock(self) -> str:
        """What was installed, as requirements."""
        return (self.folder / _LOCK).read_text(encoding="utf-8")

    @property
    def complete(self) -> bool:
        """Whether it was finished, and its base interpreter is still there."""
        return (self.folder / COMPLETE).exists() and self.python.exists()

    def use(self) -> bool:
        """Return whether it is complete; if so, it counts as used now."""
        with suppress(OSError):
            if self.complete:
                os.utime(self.folder / COMPLETE)
        return self.complete


class Environments:
    """The environments below one folder."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self._environ = uv_environ(environ)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, bundle: StoredBundle) -> Environment:
        """Return the environment of a deployed bundle."""
        return Environment(folder=self.folder / (bundle.environment or ""))

    async def restore(
        self, requirements: Path | None, python: Python, write: Callable[[str], None]
    ) -> Environment:
        """Return the environment for a package list, made now if there is none yet.

        What uv says goes to `write`. Raises BundleError if a package cannot be installed.
        """
        environment = await self.for_list(requirements, python)
        async with self._lock(environment.folder.name):
            if environment.use():
                write(REUSED)
            else:
                await self._make(environment, requirements, python, write)
        return environment

    async def for_list(self, requirements: Path | None, python: Python) -> Environment:
        """Return the environment that a package list has, or would have if it were made."""
        content = await asyncio.to_thread(requirements.read_bytes) if requirements else b""
        identity = (python.version.encode(), content, b"setuptools" if _brings(python) else b"")
        key = hashlib.sha256(b"\0".join(identity)).hexdigest()[:24]
        return Environment(folder=self.folder / f"{python.version}-{key}")

    async def as_it_is(self, python: Python) -> Environment:
        """Return an interpreter with whatever packages it has; nothing is installed."""
        environment = Environment(folder=self.folder / f"{python.version}-as-it-is")
        async with self._lock(environment.folder.name):
            environment.folder.mkdir(parents=True, exist_ok=True)
            (environment.folder / _INTERPRETER).write_text(str(python.path), encoding="utf-8")
            await self._freeze(environment)
            (environment.folder / COMPLETE).touch()
        return environment

    async def present(
        self, bundle: StoredBundle, root: Path, pythons: tuple[Python, ...]
    ) -> StoredBundle:
        """Return a bundle whose environment is there, made again now if it was removed.

        Raises BundleError if it cannot be made.
        """
        if not bundle.environment or self.of(bundle).use():
            return bundle
        python = next((one for one in pythons if one.version == bundle.python), None)
        if python is None:
            raise BundleError(f"Python {bundle.python} is not here any more: deploy again.")
        if bundle.managed is False:
            made = await self.as_it_is(python)
        else:
            manifest = await asyncio.to_thread(check, root, files=False)
            requirements = root / manifest.python.package_file if manifest.python else None
            made = await self.restore(requirements, python, lambda _line: None)
        return replace(bundle, environment=made.folder.name)

    def versions(self) -> tuple[str, ...]:
        """Return the versions of Python that there are environments of, the oldest first."""
        folders = self.folder.iterdir() if self.folder.is_dir() else ()
        # What was interrupted while it was made is there too, and can be removed.
        found = {path.name.partition("-")[0] for path in folders if path.is_dir()}
        return tuple(sorted(found, key=Version))

    async def remove(self, version: str) -> int:
        """Remove the environments of a version of Python, and return how many there were."""
        found = sorted(self.folder.glob(f"{version}-*"))
        for folder in found:
            async with self._lock(folder.name):
                await remove_folder(folder)
        return len(found)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def _make(
        self,
        environment: Environment,
        requirements: Path | None,
        python: Python,
        write: Callable[[str], None],
    ) -> None:
        try:
            await self._install(environment, requirements, python, write)
        except BaseException:
            await remove_folder(environment.folder)
            raise

    async def _install(
        self,
        environment: Environment,
        requirements: Path | None,
        python: Python,
        write: Callable[[str], None],
    ) -> None:
        await remove_folder(environment.folder)
        write(f"Creating a virtual environment with Python {python.version}")
        await self.uv("venv", "--python", python.path, environment.folder, write=write)
        target = ("--python", environment.python)
        if requirements is not None:
            write(f"Installing {requirements.name}")
            await self.uv("pip", "install", *target, "-r", requirements, write=write)
        await self._freeze(environment)
        if _brings(python) and "setuptools==" not in environment.lock:
            await self._add_setuptools(environment, write)
        (environment.folder / COMPLETE).touch()

    async def _add_setuptools(self, environment: Environment, write: Callable[[str], None]) -> None:
        """Install setuptools, which Connect's environments have, and old packages import."""
        wheels: list[str] = []
        await run_logged(
            (environment.python, "-c", _OWN_SETUPTOOLS),
            environ=self._environ,
            folder=self.folder,
            write=wheels.append,
        )
        own = [wheel for wheel in wheels if wheel.endswith(".whl")][:1]
        what = ("--no-index", *own) if own else ("setuptools",)
        try:
            await self.uv(
                "pip", "install", "-q", "--python", environment.python, *what, write=write
            )
        except BundleError:
            write("setuptools could not be installed; most content does not need it.")

    async def _freeze(self, environment: Environment) -> None:
        installed: list[str] = []
        target = ("--python", environment.python)
        await self.uv("pip", "freeze", "--quiet", *target, write=installed.append)
        (environment.folder / _LOCK).write_text(
            "".join(f"{line}\n" for line in installed), encoding="utf-8"
        )

    async def uv(self, *arguments: str | Path, write: Callable[[str], None]) -> None:
        """Run uv; raises BundleError if it fails, and DiskError if that is for want of space."""
        import uv

        full = False

        def watch(line: str) -> None:
            nonlocal full
            full = full or tells_no_space(line)
            write(line)

        self.folder.mkdir(parents=True, exist_ok=True)
        code = await run_logged(
            (uv.find_uv_bin(), *arguments),
            environ=self._environ,
            folder=self.folder,  # no configuration of the bundle's or of a developer's project
            write=watch,
        )
        if code and full:
            raise no_space(self.folder.parent)
        if code:
            raise BundleError(f"Installing the packages failed: uv ended with exit code {code}.")


def _brings(python: Python) -> bool:
    """Return whether environments of a Python have setuptools."""
    return Version(python.version) < _WITHOUT_SETUPTOOLS


async def prepare_runtime(folder: Path, python: Python, environments: Environments) -> Path:
    """Return the folder that lets content on `python` be served; raises BundleError."""
    target = folder / minor_of(python.version)
    found = supporting(python.version)
    versions = " ".join(sorted(f"{one.name}=={one.version}" for one in found))
    complete = target / COMPLETE
    if complete.exists() and complete.read_text(encoding="utf-8") == versions:
        return target
    await remove_folder(target)
    if found:
        await asyncio.to_thread(_copy, found, target)
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


def _copy(found: Iterable[Distribution], target: Path) -> None:
    # Scripts lie outside site-packages; compiled files are of one Python.
    files = (file for one in found for file in one.files or () if ".." not in file.parts)
    for file in files:
        if file.suffix != ".pyc":
            destination = target.joinpath(*file.parts)
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), destination)
