"""A lock of what is installed in an environment, for projects that have none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.utils import canonicalize_name

from hatch_connect.locks.compatibility import is_commit
from hatch_connect.locks.lock import LocalPackage, Lock, Omitted, Pin, url_requirement
from hatch_connect.locks.problems import Problems, raise_if_any
from hatch_connect.secret import has_credentials

if TYPE_CHECKING:
    from hatch_connect.project.interpreter import DirectUrl, Installed, Interpreter

_PUBLISHING_TOOLS = frozenset({"hatch-connect", "rsconnect-python"})


def freeze(interpreter: Interpreter, *, own_name: str, root: Path | None = None) -> Lock:
    """Return a lock of what is installed, without the project itself and publishing tools.

    It lists what `pip list --format=freeze` does; a package from a repository keeps its URL and
    commit. A package installed from `root` is the project too, whatever its name; one installed
    from another folder is built from there. Raises LockError for what cannot ship.
    """
    left_out = _PUBLISHING_TOOLS | {canonicalize_name(own_name)}
    pins, problems, notes, omitted, local = [], [], [], [], []
    for installed in interpreter.packages:
        name = canonicalize_name(installed.name)
        because = f"installed for {interpreter.path}"
        if name in left_out or _is_from(installed.direct_url, root):
            why = "a tool for publishing" if name in _PUBLISHING_TOOLS else "the project itself"
            omitted.append(Omitted(name=name, version=installed.version, because=why))
        elif (folder := _folder(installed.direct_url)) is not None:
            local.append(LocalPackage(name=name, path=folder, because=because))
        else:
            pins.append(_pin(installed, because))
            if (problem := _problem(installed)) is not None:
                problems.append(problem)
            elif _is_file(installed.direct_url):
                notes.append(
                    f"{installed.name} {installed.version} was installed from a file: the server"
                    " takes the one of that version from its index."
                )
    problems += [f"{folder} gives no name or no version." for folder in interpreter.broken]
    raise_if_any(
        Problems(
            f"The packages of {interpreter.path} cannot be shipped:",
            "Lock the project (`uv lock`), or list its packages in a requirements.txt.",
            problems,
        )
    )
    return Lock(
        path=None,
        format="installed",
        pins=tuple(pins),
        notes=tuple(notes),
        local=tuple(local),
        omitted=tuple(omitted),
    )


def _pin(installed: Installed, because: str) -> Pin:
    url = installed.direct_url
    # As in pip's list, the name is written as in the metadata, not normalized.
    requirement = f"{installed.name}=={installed.version}"
    if url is not None and not _is_file(url):
        source = f"{url.vcs}+{url.url}@{url.commit}" if url.vcs else url.url
        requirement = url_requirement(installed.name, source, url.subdirectory)
    return Pin(
        name=canonicalize_name(installed.name),
        requirement=requirement,
        version=installed.version,
        because=because,
    )


def _folder(url: DirectUrl | None) -> Path | None:
    """Return the folder that a package was installed from, if its project is still there."""
    if url is None or not (url.directory or url.editable) or has_credentials(url.url):
        return None
    folder = _path(url) / (url.subdirectory or "")
    there = any((folder / name).is_file() for name in ("pyproject.toml", "setup.py"))
    return folder if there else None


def _problem(installed: Installed) -> str | None:
    url = installed.direct_url
    if url is None:
        return None
    called = f"{installed.name} {installed.version}"
    if has_credentials(url.url):
        return f"{called} was installed from a URL with credentials in it."
    if url.vcs == "git" and not is_commit(url.commit or ""):
        return f"{called} was installed from {url.url}, and no commit of it is known."
    if url.editable or (url.directory and _path(url).is_dir()):
        return f"{called} was installed from a folder of this machine: {url.url}."
    return None


def _is_from(url: DirectUrl | None, root: Path | None) -> bool:
    if url is None or root is None or not url.directory:
        return False
    return _path(url).resolve() == root.resolve()


def _is_file(url: DirectUrl | None) -> bool:
    """Return whether it came from a file, as all of conda's did, from folders that are gone."""
    return url is not None and url.url.startswith("file:")


def _path(url: DirectUrl) -> Path:
    return Path(url2pathname(urlsplit(url.url).path))
