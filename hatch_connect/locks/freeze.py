"""A lock of what is installed in an environment, for projects that have none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

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
    found = [(each, _shipped(each, interpreter, own_name, root)) for each in interpreter.packages]
    pinned = [installed for installed, one in found if isinstance(one, Pin)]
    raise_if_any(
        Problems(
            f"The packages of {interpreter.path} cannot be shipped:",
            "Lock the project (`uv lock`), or list its packages in a requirements.txt.",
            [
                *filter(None, map(_problem, pinned)),
                *(f"{folder} has no name or no version." for folder in interpreter.broken),
            ],
        )
    )
    return Lock(
        path=None,
        format="installed",
        pins=tuple(one for _, one in found if isinstance(one, Pin)),
        notes=tuple(filter(None, map(_note, pinned))),
        local=tuple(one for _, one in found if isinstance(one, LocalPackage)),
        omitted=tuple(one for _, one in found if isinstance(one, Omitted)),
    )


def _shipped(
    installed: Installed, interpreter: Interpreter, own_name: str, root: Path | None
) -> Pin | LocalPackage | Omitted:
    """Return as what a package ships, or why it does not."""
    name = canonicalize_name(installed.name)
    because = f"installed for {interpreter.path}"
    if name in _PUBLISHING_TOOLS:
        return Omitted(name=name, version=installed.version, because="a tool for publishing")
    if name == canonicalize_name(own_name) or _is_from(installed.direct_url, root):
        return Omitted(name=name, version=installed.version, because="the project itself")
    folder = _folder(installed.direct_url)
    if folder is not None:
        return LocalPackage(name=name, path=folder, because=because)
    return _pin(installed, because)


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
        return f"{called} was installed from {url.url}, but its commit is not known."
    if url.editable or (url.directory and _path(url).is_dir()):
        return f"{called} was installed from a folder on this machine: {url.url}."
    return None


def _note(installed: Installed) -> str | None:
    if not _is_file(installed.direct_url):
        return None
    return (
        f"{installed.name} {installed.version} was installed from a file: the server will install"
        " that version from its index."
    )


def _is_from(url: DirectUrl | None, root: Path | None) -> bool:
    if url is None or root is None or not url.directory:
        return False
    return _path(url).resolve() == root.resolve()


def _is_file(url: DirectUrl | None) -> bool:
    """Return whether it came from a file, as all of conda's did, from folders that are gone."""
    return url is not None and url.url.startswith("file:")


def _path(url: DirectUrl) -> Path:
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(url.url).path))
