"""The Python interpreters of this machine, and which of them a bundle gets."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from hatch_connect.errors import BundleError, UsageError
from hatch_connect.programs import run_program
from hatch_connect.project.target import minor_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_OLDEST = Version("3.8")  # no release of what serves content runs on an older one
_UNPUBLISHABLE = ":unpublishable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """One interpreter, such as 3.11.7 at /usr/bin/python3.11.

    One that is not `publishable` is kept for what was deployed on it earlier.
    """

    version: str
    path: Path
    publishable: bool = True


OWN = Python(version=".".join(map(str, sys.version_info[:3])), path=Path(sys.executable))
"""The interpreter that runs this server."""


def find_pythons(environ: Mapping[str, str]) -> tuple[Python, ...]:
    """Return one CPython for each version that is installed, oldest first.

    These are the one that runs this, what uv finds, and pyenv's, whose launchers answer only for
    the versions that are selected.
    """
    found = {python.version: python for python in (*_of_pyenv(environ), *_of_uv(environ))}
    if sys.version_info.releaselevel == "final":
        found[OWN.version] = OWN
    by_age = sorted(found.values(), key=lambda python: Version(python.version))
    return tuple(python for python in by_age if Version(python.version) >= _OLDEST)


def choose_offered(asked: Iterable[str], found: Iterable[Python]) -> tuple[Python, ...]:
    """Return the interpreters that a person asked for, oldest first; the newest of each X.Y.

    Each is X.Y or X.Y.Z, with `:unpublishable` if it is not to take new deployments. Raises
    UsageError for one that is not among those found, or that is asked for twice.
    """
    newest_first = sorted(found, key=lambda python: Version(python.version), reverse=True)
    chosen: dict[str, Python] = {}
    for each in asked:
        version = each.removesuffix(_UNPUBLISHABLE)
        if not re.fullmatch(r"\d+\.\d+(\.\d+)?", version):
            raise UsageError(
                f"--python: {each!r} is not a version of Python.",
                hint="Write it as 3.12 or 3.12.1; 3.12:unpublishable takes no new deployments.",
            )
        same = (one for one in newest_first if f"{one.version}.".startswith(f"{version}."))
        python = next(same, None)
        if python is None:
            names = ", ".join(one.version for one in reversed(newest_first))
            raise UsageError(
                f"--python: Python {version} was not found on this machine.",
                hint=f"Found: {names}. `uv python install {version}` adds it.",
            )
        if python.version in chosen:
            raise UsageError(f"--python: Python {python.version} is asked for twice.")
        chosen[python.version] = replace(python, publishable=version == each)
    return tuple(chosen[one.version] for one in reversed(newest_first) if one.version in chosen)


def choose_installed(version: str, requires: str | None, pythons: Iterable[Python]) -> Python:
    """Return the interpreter for a bundle: the newest that its manifest allows.

    If only MAJOR.MINOR has to match, the exact version wins. If there is none, raises BundleError
    in Connect's words.
    """
    newest_first = sorted(pythons, key=lambda python: Version(python.version), reverse=True)
    if requires is not None:
        allowed = SpecifierSet(requires)
        suitable = [python for python in newest_first if allowed.contains(python.version)]
        asked = requires
    else:
        asked = version
        suitable = [one for one in newest_first if minor_of(one.version) == minor_of(asked)]
        suitable.sort(key=lambda python: python.version != asked)
    if not suitable:
        raise BundleError(
            "Cannot find compatible environment: no compatible Local environment with Python"
            f" version {asked}"
        )
    return suitable[0]


def uv_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what uv needs of the environment: where to find packages, and nothing secret of ours.

    An index that variables name for pip alone is passed on to uv as well.
    """
    kept = {name: value for name, value in environ.items() if _FOR_UV.fullmatch(name.upper())}
    for pip, uv in (("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), ("PIP_EXTRA_INDEX_URL", "UV_INDEX")):
        if environ.get(pip) and "UV_INDEX_URL" not in environ:
            kept.setdefault(uv, environ[pip])
    return kept | {"NO_COLOR": "1", "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}


_FOR_UV = re.compile(
    r"PATH|HOME|USERPROFILE|APPDATA|LOCALAPPDATA|SYSTEMROOT|SYSTEMDRIVE|PATHEXT|COMSPEC|TE?MP"
    r"|TMPDIR|LANG|LC_\w+|XDG_\w+_(HOME|DIRS)|UV_(?!PYTHON$|PROJECT|PUBLISH)\w+|SSL_CERT_\w+"
    r"|\w+_PROXY|NETRC"
)


def _of_uv(environ: Mapping[str, str]) -> list[Python]:
    import uv

    command = (uv.find_uv_bin(), "python", "list", "--only-installed", "--output-format", "json")
    # Each of pyenv's launchers starts a shell, and `_of_pyenv` finds what they would start.
    shims = str(_pyenv_root(environ) / "shims")
    folders = environ.get("PATH", "").split(os.pathsep)
    path = os.pathsep.join(folder for folder in folders if os.path.normpath(folder) != shims)
    listing = run_program(command, environ=uv_environ({**environ, "PATH": path}))
    entries = json.loads(listing.stdout) if listing.returncode == 0 else []
    return [
        Python(version=entry["version"], path=Path(entry["path"]))
        for entry in reversed(entries)  # uv's preferred ones come first, and are to win
        if entry["implementation"] == "cpython" and entry["variant"] == "default"
    ]


def _of_pyenv(environ: Mapping[str, str]) -> list[Python]:
    return [
        Python(version=python.parent.parent.name, path=python)
        for python in _pyenv_root(environ).glob("versions/3.*/bin/python")
        if _is_version(python.parent.parent.name)
    ]


def _pyenv_root(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME") or "~"
    return Path(environ.get("PYENV_ROOT") or Path(home).expanduser() / ".pyenv")


def _is_version(text: str) -> bool:
    try:
        return not Version(text).is_prerelease
    except InvalidVersion:
        return False
