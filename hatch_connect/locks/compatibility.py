"""What can be installed on the target: wheels, URLs, markers and patch releases, and its pins.

Only X.Y of the server's Python is known, and markers may depend on the patch release
(`python_full_version < '3.11.3'`). So a lock is evaluated once for each patch release at which a
marker may change its value; a pin that some results lack keeps a marker that says when it holds.
"""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from hatch_connect.errors import LockError, shortened
from hatch_connect.locks.lock import PUBLIC_INDEX, Lock, Pin
from hatch_connect.project.metadata import parse_requirement, parse_specifier
from hatch_connect.project.target import HIGH_PATCH
from hatch_connect.secret import excerpt, has_credentials, without_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from packaging.requirements import Requirement
    from packaging.tags import Tag

    from hatch_connect.locks.lock import LocalPackage, LockFile, Omitted
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.target import Target

_SHOWN_TAGS = 6
_SECRET_KEYS = {"access_token", "api_key", "apikey", "password", "private_token", "sig", "token"}
_LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}  # noqa: S104 -- compared, not bound

# Where a lock compares patch releases: in a marker, in either quotes, or in `requires-python`.
_COMPARED = re.compile(
    r"(?:python_full_version|requires-python)\s*(?:[<>=!~]+|= \"[^\"]*?)\s*['\"]?[^'\"]*['\"]"
)

_HASH = re.compile(r"[a-z0-9_]+:[0-9a-fA-F]+")

Chosen: TypeAlias = "Mapping[str, frozenset[str]]"
"""The chosen names, by the marker variable that tests for them: `extras`, `dependency_groups`."""

# Markers (PEP 508; PEP 751 adds `extras` and `dependency_groups`) are expressions of Python's
# syntax, but for these operators. So `ast` can decide parts of one and leave the rest.
_FOREIGN = ((r"~=", "is"), (r"===", "is not"))
_BACK = ((" is not ", " === "), (" is ", " ~= "))


def is_commit(text: str) -> bool:
    """Return whether it is the hash of a commit; a branch or a tag may move."""
    # from git's shortest abbreviation to SHA-256
    return re.fullmatch(r"[0-9a-fA-F]{7,64}", text) is not None


def parted(url: str) -> SplitResult:
    """Return the parts of a URL; all are empty if it is not one."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def file_name(place: str) -> str:
    """Return the file name at the end of a URL or a path."""
    return unquote(parted(place).path).replace("\\", "/").rpartition("/")[2]


def is_compatible(wheels: Iterable[str], tags: frozenset[Tag]) -> bool:
    """Return whether one of these wheels, by its file name, can be installed."""
    return any(not tags.isdisjoint(_wheel_tags(wheel)) for wheel in wheels)


@cache
def _wheel_tags(wheel: str) -> frozenset[Tag]:
    """Return the tags in a wheel's file name (PEP 427); none if it is not the name of a wheel."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        return parse_wheel_filename(wheel)[3]
    except InvalidWheelFilename:
        return frozenset()


def incompatible(called: str, wheels: Iterable[str], target: Target) -> str:
    """Return the problem of a package that has wheels for other targets only."""
    tags = sorted({str(tag) for wheel in wheels for tag in _wheel_tags(wheel)})
    shown = shortened(tags, _SHOWN_TAGS) or "none"
    return f"{called} has no wheel for {target} and no sdist; it has {shown}."


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackage:
    """A package that a lock wants installed, as every format with hashes and wheels has it.

    `requirement` and `because` are those of its pin. `wheels` are file names, None for what is
    built in any case; `url` is None for a package of an index. `moving` is what the lock names of a
    repository in place of a commit; `note` is worth a warning.
    """

    name: str
    version: str | None
    requirement: str
    because: str
    hashes: tuple[str, ...]
    index: str | None
    wheels: tuple[str, ...] | None
    has_sdist: bool
    url: str | None
    moving: str | None
    note: str | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinner:
    """Makes a lock of its packages, and checks them; `place` is what a sentence calls the lock."""

    found: LockFile
    config: ProjectConfig
    target: Target
    tags: frozenset[Tag]
    place: str

    @classmethod
    def of(cls, found: LockFile, config: ProjectConfig, target: Target, place: str) -> Pinner:
        """Return the one of a lock for a target."""
        tags = frozenset(target.tags())
        return cls(found=found, config=config, target=target, tags=tags, place=place)

    def pin(self, package: LockedPackage, marker: str | None = None) -> Pin:
        """Return the pin of a package, with a marker if one is kept."""
        return Pin(
            name=package.name,
            requirement=f"{package.requirement} ; {marker}" if marker else package.requirement,
            version=package.version,
            hashes=package.hashes if self.config.hashes else (),
            because=package.because,
            index=package.index,
        )

    def pins(self, answers: Mapping[int, Iterable[LockedPackage]]) -> tuple[Pin, ...]:
        """Return the pins of all patch releases."""
        pins = {patch: tuple(map(self.pin, packages)) for patch, packages in answers.items()}
        return merged(pins, self.target.minor)

    def lock(
        self,
        pins: Iterable[Pin],
        packages: Collection[LockedPackage],
        local: Mapping[str, LocalPackage],
        omitted: tuple[Omitted, ...],
    ) -> Lock:
        """Return the lock; `packages` are those that are installed on the target."""
        indexes = written_indexes(package.index for package in packages)
        notes = (
            note
            for package in packages
            for note in (self._build_note(package), package.note, index_note(package.index))
            if note is not None
        )
        return Lock(
            path=self.found.path,
            format=self.found.format.name,
            pins=tuple(sorted(pins, key=lambda pin: pin.requirement)),
            sha256=hashlib.sha256(self.found.data).hexdigest(),
            files={self.found.path: self.found.data},
            notes=tuple(dict.fromkeys(notes)),
            local=tuple(local[name] for name in sorted(local)),
            omitted=omitted,
            indexes=indexes if self.config.keep_indexes else (),
        )

    def source_problem(self, package: LockedPackage) -> str | None:
        """Return why what a package comes from is not safe: a lock may be forged."""
        if package.url and (problem := url_problem(str(package), package.url)):
            return problem
        if package.moving is not None:
            return f"{package} names {package.moving}."
        if parse_requirement(package.requirement) is None:
            return f"{str(package)!r} is not a valid requirement."
        if self.config.hashes and any(not _HASH.fullmatch(each) for each in package.hashes):
            return f"{package} has an invalid hash."
        return None

    def hash_problem(self, package: LockedPackage) -> str | None:
        """Return that a package has no hash, if each must have one."""
        if not self.config.hashes or package.hashes:
            return None
        return (
            f"{package} has no hash in {self.place}, but `hashes = true` requires one for"
            " every package."
        )

    def wheel_problem(self, package: LockedPackage) -> str | None:
        """Return why nothing of a package can be installed on the target."""
        if package.url is None and package.version is None:
            return f"{package} has no version in {self.place}."
        if package.has_sdist or self._fits(package):
            return None
        return incompatible(str(package), package.wheels or (), self.target)

    def _build_note(self, package: LockedPackage) -> str | None:
        if not package.has_sdist or self._fits(package):
            return None
        return f"{package} has no wheel for the target: the server will build it."

    def _fits(self, package: LockedPackage) -> bool:
        return package.wheels is None or is_compatible(package.wheels, self.tags)


def wheels_at(url: str) -> tuple[str, ...] | None:
    """Return the wheel that a URL leads to; None if something is built that is there."""
    name = file_name(url)
    return (name,) if name.endswith(".whl") else None


def index_note(index: str | None) -> str | None:
    """Return a note on packages from an index that a server may not know, or None."""
    if index is None or index.rstrip("/") == PUBLIC_INDEX:
        return None
    shown = without_credentials(index)
    return f"Packages come from {shown}: make sure that the index of the server has them."


def written_indexes(indexes: Iterable[str | None]) -> tuple[str, ...]:
    """Return the indexes to write above pins, each once; folders are none."""
    urls = (index for index in indexes if index and "://" in index)
    return tuple(dict.fromkeys(url.rstrip("/") for url in urls if not url.startswith("file:")))


def url_problem(called: str, url: str) -> str | None:
    """Return why this URL must not be given to Connect or is useless there, or None."""
    shown = without_credentials(url)
    if has_credentials(url):
        return f"{called} has credentials in its URL: {shown}."
    parts = parted(url)
    if not parts.scheme:
        return f"{called} has an invalid URL: {shown}."
    secret = _SECRET_KEYS & {key.lower() for key, _ in parse_qsl(parts.query)}
    if secret:
        return f"{_without_query(called)} has a `{min(secret)}` in its URL: {_without_query(url)}."
    if parts.scheme.rpartition("+")[2] == "file" or parts.hostname in _LOCAL_HOSTS:
        return f"{called} comes from a location that only this machine can reach: {shown}."
    return None


def _without_query(text: str) -> str:
    """Return a text that ends in a URL without the URL's query, fit for a message."""
    return without_credentials(text).partition("?")[0]


def holds(
    requirement: Requirement | None, target: Target, how: Callable[[Iterable[bool]], bool]
) -> bool:
    """Return whether a marker holds, if there is one, for `any` or `all` patch releases."""
    marker = requirement.marker if requirement else None
    environments = target.environments()
    return marker is None or how(
        marker.evaluate({**environment, "extra": ""}) for environment in environments
    )


def first_patches(text: str, target: Target) -> tuple[int, ...]:
    """Return the patch releases at which a marker may change its value, 0 first.

    These are each X.Y.Z that a marker names, and the release after it: that covers all of `<`,
    `<=`, `==`, `!=`, `>=` and `>`.
    """
    if target.python != target.minor:  # the patch release is known: there is only one result
        return (0,)
    version = re.compile(rf"(?<![\d.]){re.escape(target.minor)}\.(\d+)")
    named = {int(n) for found in _COMPARED.findall(text) for n in version.findall(found)}
    # `<` and `>=` change their mind at the patch that they name, `<=`, `>` and `==` after it.
    starts = {0, *named, *(patch + 1 for patch in named)}
    return tuple(sorted(patch for patch in starts if patch <= HIGH_PATCH))


def environments_by_patch(
    path: Path, text: str, target: Target, requires_python: str | None
) -> dict[int, dict[str, str]]:
    """Return the environment of every patch release that matters and that the lock allows.

    `text` is the whole lock, in which these releases are looked for. Raises LockError if the lock
    allows none.
    """
    allowed = parse_specifier(requires_python or "")
    if allowed is None:
        raise LockError(
            f"{path} is damaged: `{excerpt(str(requires_python))}` is not a valid range of Python"
            " versions.",
            hint="Lock the project again.",
        )
    every = {patch: target.environment(patch) for patch in first_patches(text, target)}
    found = {
        patch: environment
        for patch, environment in every.items()
        if allowed.contains(environment["python_full_version"], prereleases=True)
    }
    if not found:
        raise LockError(
            f"{path} is for Python {requires_python}, but {target.python} was requested.",
            hint="Lock for that Python, or request another one with `python-version`.",
        )
    return found


def merged(answers: Mapping[int, tuple[Pin, ...]], minor: str) -> tuple[Pin, ...]:
    """Return all pins; those that some results lack get a marker on `python_full_version`."""
    starts = sorted(answers)
    pins: dict[str, Pin] = {}
    present: dict[str, list[int]] = {}
    for start in starts:
        for pin in answers[start]:
            pins.setdefault(pin.requirement, pin)
            present.setdefault(pin.requirement, []).append(start)
    return tuple(
        pin
        if len(present[requirement]) == len(starts)
        else replace(
            pin, requirement=f"{requirement} ; {_marker(present[requirement], starts, minor)}"
        )
        for requirement, pin in pins.items()
    )


def _marker(present: Iterable[int], starts: list[int], minor: str) -> str:
    parts = []
    for first, after in _runs(set(present), starts):
        bounds = []
        if first != starts[0]:
            bounds.append(f'python_full_version >= "{minor}.{first}"')
        if after is not None:
            bounds.append(f'python_full_version < "{minor}.{after}"')
        parts.append(" and ".join(bounds))
    return " or ".join(parts)


def _runs(present: set[int], starts: list[int]) -> list[tuple[int, int | None]]:
    """Return (first patch release, first one after the run or None) of each run of results."""
    runs: list[tuple[int, int | None]] = []
    for start, after in zip(starts, [*starts[1:], None], strict=True):
        if start in present:
            first = runs.pop()[0] if runs and runs[-1][1] == start else start
            runs.append((first, after))
    return runs


def reduced(text: str, chosen: Chosen) -> str | bool:
    """Replace the parts of a marker that test for chosen names by their value, and simplify it.

    Returns the rest of the marker, or its value if nothing else is left. Raises SyntaxError for
    text that is not a marker.
    """
    for operator, word in _FOREIGN:
        text = re.sub(rf"(?<!=){re.escape(operator)}(?!=)", f" {word} ", text)
    tree = _Reduction(chosen).visit(ast.parse(text.strip(), mode="eval").body)
    if isinstance(tree, ast.Constant):
        return bool(tree.value)
    result = ast.unparse(tree)
    for word, operator in _BACK:
        result = result.replace(word, operator)
    return result


class _Reduction(ast.NodeTransformer):
    def __init__(self, chosen: Chosen) -> None:
        self._chosen = chosen

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        variables = [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
        values = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
        if len(variables) != 1 or variables[0] not in self._chosen:
            return node
        holds = values[0] in self._chosen[variables[0]]
        negated = isinstance(node.ops[0], ast.NotEq | ast.NotIn)
        return ast.Constant(value=holds is not negated)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        # One True decides an `or`, one False an `and`; what else is known can be left out.
        decides = isinstance(node.op, ast.Or)
        parts: list[ast.expr] = [self.visit(part) for part in node.values]
        known = [part.value for part in parts if isinstance(part, ast.Constant)]
        if decides in known:
            return ast.Constant(value=decides)
        left = [part for part in parts if not isinstance(part, ast.Constant)]
        if len(left) > 1:
            return ast.BoolOp(op=node.op, values=left)
        return left[0] if left else ast.Constant(value=not decides)


def either(alternatives: Iterable[frozenset[str]]) -> str | None:
    """Return the marker that holds if all markers of any one alternative hold; None for always."""
    texts = []
    for alternative in sorted(alternatives, key=sorted):
        if not alternative:
            return None
        parts = sorted(alternative)
        texts.append(" and ".join(f"({p})" if " or " in p and len(parts) > 1 else p for p in parts))
    if len(texts) == 1:
        return texts[0]
    return " or ".join(f"({text})" if " and " in text else text for text in texts)


def shortest(alternatives: Iterable[frozenset[str]]) -> frozenset[frozenset[str]]:
    """Leave out alternatives that another one implies: it holds whenever they do."""
    found = set(alternatives)
    return frozenset(a for a in found if not any(other < a for other in found))
