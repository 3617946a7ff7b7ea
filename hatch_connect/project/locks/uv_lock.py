"""Reads `uv.lock`: walked for a target, never resolved again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from hatch_connect.errors import LockError
from hatch_connect.project.locks.fit import file_name, fits, index_note, misfit, url_problem
from hatch_connect.project.locks.order import UV, project_folder, read_lock_toml
from hatch_connect.project.locks.patches import choose_for_patches
from hatch_connect.project.locks.uv_fresh import Compared
from hatch_connect.project.locks.uv_graph import Graph, Package, Walk, read_graph
from hatch_connect.project.pins import Lock, Pin, listed, normalized
from hatch_connect.project.tables import PYPROJECT, read_tables

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.tags import Tag

    from hatch_connect.project.config import ProjectConfig
    from hatch_connect.project.locks.order import LockFile
    from hatch_connect.project.pins import Target

_VERSION = 1


def read_uv_lock(found: LockFile, config: ProjectConfig, target: Target) -> Lock:
    """Read the lock for a target; raises LockError with everything that is wrong with it."""
    data = found.path.read_bytes()
    graph = _graph(found.path)
    root = _root(graph, found.path, config)
    _check_fresh(graph, root, found.path, config)
    _check_names(root, found.path, config)
    pinning = _Pinning(config=config, target=target, tags=frozenset(target.tags()))
    pins = choose_for_patches(
        found.path,
        data.decode(),
        target,
        requires_python=graph.requires_python,
        choose=lambda environment: pinning.choose(graph, root, environment),
    )
    if pinning.problems:
        raise LockError(
            listed(f"{found.path} cannot be installed on Connect:", pinning.problems),
            hint="Change what the project depends on, and lock again: uv lock",
        )
    return Lock(
        path=found.path,
        format=UV,
        pins=tuple(sorted(pins, key=lambda pin: pin.requirement)),
        sha256=hashlib.sha256(data).hexdigest(),
        files=(found.path,),
        notes=tuple(pinning.notes),
    )


def _graph(path: Path) -> Graph:
    content: dict[str, Any] = read_lock_toml(path)
    version = content.get("version")
    if version != _VERSION:
        raise LockError(
            f"{path} has version {version} of uv's format; version {_VERSION} is understood.",
            hint="Update hatch-connect, or lock with an older uv.",
        )
    try:
        return read_graph(content)
    except (KeyError, TypeError, AttributeError):
        raise _damaged(path) from None


def _damaged(path: Path) -> LockError:
    return LockError(f"{path} is damaged.", hint="Lock again: uv lock")


def _root(graph: Graph, path: Path, config: ProjectConfig) -> Package:
    root = graph.in_folder(project_folder(config.root, path))
    if root is not None and root.name == normalized(config.project_name):
        return root
    has = f"it has `{root.name}`" if root else "it has none for this folder"
    raise LockError(
        f"{path} is not the lock of the project `{config.project_name}`: {has}.",
        hint="Lock again: uv lock",
    )


def _check_fresh(graph: Graph, root: Package, path: Path, config: ProjectConfig) -> None:
    try:
        stale = Compared(
            graph=graph, root=root, config=config, workspace=_workspace(path, config)
        ).differences()
    except (KeyError, TypeError, AttributeError):
        raise _damaged(path) from None
    if stale:
        raise LockError(
            listed(f"{path} is stale: it does not say what {config.path} says.", stale),
            hint="Lock again: uv lock",
        )


def _workspace(path: Path, config: ProjectConfig) -> dict[str, Any]:
    """Return `[tool.uv]` of the project that the lock lies beside."""
    if path.parent == config.root:
        return dict(config.metadata.uv)
    if not (path.parent / PYPROJECT).is_file():
        return {}
    return dict(read_tables(path.parent).table("tool", "uv") or {})


def _check_names(root: Package, path: Path, config: ProjectConfig) -> None:
    extras = {*root.extras, *root.metadata.get("provides-extras", ())}
    groups = {*root.groups, *root.metadata.get("requires-dev", {})}
    problems = [
        f"There is no {kind} `{name}` (there are: {', '.join(sorted(map(str, known))) or 'none'})."
        for kind, names, known in (
            ("extra", config.extras, extras),
            ("dependency group", config.groups, groups),
        )
        for name in names
        if name not in known
    ]
    if problems:
        raise LockError(
            listed(f"{path} has not all that is asked for:", problems),
            hint="Correct `extras` and `groups`, or add them to the project and run: uv lock",
        )


@dataclass(slots=True, kw_only=True)
class _Pinning:
    """Turns what a walk reached into pins; problems and notes are collected once each."""

    config: ProjectConfig
    target: Target
    tags: frozenset[Tag]
    problems: dict[str, None] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def choose(self, graph: Graph, root: Package, environment: dict[str, str]) -> tuple[Pin, ...]:
        """Walk for one environment."""
        walk = Walk(graph=graph, environment=environment)
        walk.run(root, self.config.extras, self.config.groups)
        by_name: dict[str, list[Package]] = {}
        for package in walk.reached:
            by_name.setdefault(package.name, []).append(package)
        for name, packages in by_name.items():
            if len(packages) > 1:
                versions = ", ".join(sorted(str(package.version) for package in packages))
                self.problems[f"{name} is wanted in more than one version: {versions}."] = None
        pins = []
        for package, asking in walk.reached.items():
            if "virtual" in package.source:
                continue
            self._check(package)
            pins.append(self._pin(package, ", ".join(sorted(asking))))
        return tuple(pins)

    def _pin(self, package: Package, because: str) -> Pin:
        return Pin(
            name=package.name,
            requirement=_requirement(package),
            version=package.version,
            hashes=package.hashes if self.config.hashes else (),
            because=because,
        )

    def _check(self, package: Package) -> None:
        problem = _source_problem(package)
        if problem is None and self.config.hashes and not package.hashes:
            problem = f"{package} has no hash in the lock, and `hashes = true` needs one for each."
        if problem is None:
            problem = self._fit_problem(package)
        if problem is not None:
            self.problems[problem] = None
        note = index_note(package.source.get("registry"))
        if note is not None:
            self.notes[note] = None

    def _fit_problem(self, package: Package) -> str | None:
        wheels = package.wheels
        if "url" in package.source and file_name(package.source["url"]).endswith(".whl"):
            wheels = (file_name(package.source["url"]),)
        elif "registry" not in package.source:
            return None
        if fits(wheels, self.tags):
            return None
        if package.has_sdist:
            self.notes[f"{package} has no wheel for the target: the server builds it."] = None
            return None
        return misfit(str(package), wheels, self.target)


def _source_problem(package: Package) -> str | None:
    local = package.folder or package.source.get("path")
    if local is not None:
        return (
            f"{package} is a path dependency (`{local}`), which the server has not: publish it to"
            " an index, or depend on its repository."
        )
    url = package.source.get("git") or package.source.get("url")
    return url_problem(str(package), url) if url else None


def _requirement(package: Package) -> str:
    if "git" in package.source:
        return f"{package.name} @ {_git_url(package.source['git'])}"
    if "url" in package.source:
        below = package.source.get("subdirectory")
        fragment = f"#subdirectory={below}" if below else ""
        return f"{package.name} @ {package.source['url']}{fragment}"
    return f"{package.name}=={package.version}"


def _git_url(url: str) -> str:
    """Turn uv's `URL?rev=REV&subdirectory=SUB#COMMIT` into pip's `git+URL@COMMIT`."""
    parts = urlsplit(url)
    below = parse_qs(parts.query).get("subdirectory")
    plain = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    fragment = f"#subdirectory={below[0]}" if below else ""
    return f"git+{plain}@{parts.fragment}{fragment}"
