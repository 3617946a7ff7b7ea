"""One requirement in one form, whether `uv.lock` or `pyproject.toml` says it.

uv rewrites markers (`python_version` becomes `python_full_version`, an extra becomes a part of
the marker), so a marker is taken for what it means, over a grid of environments.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs, urlencode

from hatch_connect.project.locks.fit import parted
from hatch_connect.project.metadata import normalized
from hatch_connect.project.target import Target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.requirements import Requirement

Table: TypeAlias = dict[str, Any]

MINORS = range(7, 21)
_FOLDER = "a folder or file"
_PATCHES = (0, 3, 40)
_MACHINES = (
    ("linux", "x86_64", "posix", "Linux"),
    ("linux", "aarch64", "posix", "Linux"),
    ("darwin", "arm64", "posix", "Darwin"),
    ("win32", "AMD64", "nt", "Windows"),
    ("emscripten", "wasm32", "posix", "Emscripten"),
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Wanted:
    """One requirement, such that two are equal exactly if they ask for the same.

    `where` is the extra or group that it stands in ("" for neither); `meaning` tells for which
    environments of the grid it holds (all of them where it is empty).
    """

    where: str
    name: str
    extras: tuple[str, ...]
    specifier: str
    source: str
    meaning: tuple[bool, ...]

    def __str__(self) -> str:
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        source = f" from {self.source}" if self.source else ""
        marker = "" if not self.meaning else " (with a marker)"
        where = f" in {self.where}" if self.where else ""
        return f"`{self.name}{extras}{self.specifier}`{source}{marker}{where}"


def from_lock(entry: Table, *, where: str, extra: str = "") -> Wanted:
    """Read an entry of uv's: `requires-dist`, `requires-dev`, `constraints`, `overrides`."""
    return Wanted(
        where=where,
        name=normalized(entry["name"]),
        extras=tuple(sorted(normalized(name) for name in entry.get("extras", ()))),
        specifier=_specifier(entry.get("specifier", "")),
        source=_locked_source(entry),
        meaning=_meaning(entry.get("marker"), extra),
    )


def _locked_source(entry: Table) -> str:
    for kind in ("git", "url"):
        if kind in entry:
            below = entry.get("subdirectory")
            return _shown_source(f"{entry[kind]}#subdirectory={below}" if below else entry[kind])
    return _FOLDER if {"path", "editable", "directory", "virtual"} & set(entry) else ""


def _shown_source(url: str) -> str:
    """Bring URLs of uv (`URL?rev=REV&subdirectory=SUB`) and of pip to one form.

    pip writes `git+URL@REV#subdirectory=SUB`.
    """
    parts = parted(url.removeprefix("git+"))
    path, pinned = parts.path, ""
    if url.startswith("git+"):
        path, _, pinned = parts.path.partition("@")
    given = {**parse_qs(parts.query), **parse_qs(parts.fragment)}
    named = given.get("rev") or given.get("tag") or given.get("branch") or [pinned]
    rev = f"@{named[0]}" if named[0] else ""
    below = f"#{given['subdirectory'][0]}" if "subdirectory" in given else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}{rev}{below}"


def from_project(
    requirement: Requirement, sources: Mapping[str, object], *, where: str, extra: str = ""
) -> Wanted:
    """Bring a requirement to the form that uv gives it, its `tool.uv.sources` included."""
    name = normalized(requirement.name)
    source = _project_source(requirement.url, sources.get(name))
    return Wanted(
        where=where,
        name=name,
        extras=tuple(sorted(normalized(extra) for extra in requirement.extras)),
        specifier="" if source else _specifier(str(requirement.specifier)),
        source=source,
        meaning=_meaning(str(requirement.marker) if requirement.marker else None, extra),
    )


def _project_source(url: str | None, source: object) -> str:
    if isinstance(source, dict):
        if {"path", "workspace"} & set(source):
            return _FOLDER
        if place := source.get("git") or source.get("url"):
            return _shown_source(f"{place}?{urlencode(source)}")
    if url is None:
        return ""
    # Hatch fills in `{root:uri}` and the like, which begin URLs of files.
    return _FOLDER if url.startswith(("file:", "{")) else _shown_source(url)


def _specifier(text: str) -> str:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return ",".join(sorted(map(str, SpecifierSet(text))))
    except InvalidSpecifier:
        return text


def may_hold(marker: str, extra: str) -> bool:
    """Whether there is an environment in which a marker holds with this extra."""
    meaning = _meaning(marker, extra)
    return not meaning or any(meaning)


@cache
def _meaning(marker: str | None, extra: str) -> tuple[bool, ...]:
    """Tell for each environment of the grid whether a marker holds; `()` for no marker."""
    from packaging.markers import InvalidMarker, Marker

    if marker is None:
        return ()
    try:
        parsed = Marker(marker)
    except InvalidMarker:
        return (False,)
    held = tuple(parsed.evaluate({**environment, "extra": extra}) for environment in _grid())
    return () if all(held) else held


@cache
def _grid() -> tuple[dict[str, str], ...]:
    environments = []
    for minor, patch, machine in product(MINORS, _PATCHES, _MACHINES):
        system, architecture, os_name, platform = machine
        base = Target(python=f"3.{minor}.{patch}", system=system, machine=architecture)
        environments.append({**base.environment(), "os_name": os_name, "platform_system": platform})
    pypy = {"implementation_name": "pypy", "platform_python_implementation": "PyPy"}
    return (*environments, *({**environment, **pypy} for environment in environments[:5]))
