"""Reads `uv.lock`: walked for a target, never resolved again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from hatch_connect.errors import LockError
from hatch_connect.project.locks.findings import Findings, credential_problems
from hatch_connect.project.locks.order import UV, project_folder, read_lock_toml
from hatch_connect.project.locks.patches import choose_for_patches
from hatch_connect.project.locks.uv_fresh import Compared
from hatch_connect.project.locks.uv_graph import Edge, Graph, Package, marker_of, read_graph
from hatch_connect.project.locks.uv_keep import Kept
from hatch_connect.project.locks.uv_pins import Pinning
from hatch_connect.project.locks.uv_reasons import omitted
from hatch_connect.project.metadata import normalized, read_metadata
from hatch_connect.project.pins import Lock, less
from hatch_connect.project.reading import PYPROJECT, read_tables
from hatch_connect.project.settings import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hatch_connect.project.locks.order import LockFile
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.target import Target

_VERSION = 1
_AGAIN = "Lock again: uv lock"


def read_uv_lock(found: LockFile, config: ProjectConfig, target: Target) -> Lock:
    """Read the lock for a target; raises LockError with everything that is wrong with it."""
    graph = _graph(found.path)
    data = found.path.read_bytes()
    text = data.decode()
    root = _root(graph, found.path, config)
    findings = Findings()
    _check_lock(graph, root, found.path, config, findings)
    _check_text(text, graph, found.path, target, findings)
    pinning = Pinning(
        path=found.path,
        config=config,
        target=target,
        tags=frozenset(target.tags()),
        findings=findings,
    )
    pins = choose_for_patches(
        found.path,
        text,
        target,
        requires_python=graph.requires_python,
        choose=lambda environment: pinning.choose(graph, root, environment),
    )
    _check_neighbours(graph, found.path, config, findings)
    findings.check()
    left_out = omitted(graph, root, pinning.walks, _chosen(config))
    if config.keep_markers:
        pins = pinning.kept(Kept.of(graph, root, config.extras, config.groups))
        left_out = less(left_out, pins)
    return Lock(
        path=found.path,
        format=UV,
        pins=tuple(sorted(pins, key=lambda pin: pin.requirement)),
        sha256=hashlib.sha256(data).hexdigest(),
        markers_kept=config.keep_markers,
        requires_python=graph.requires_python,
        files=(found.path,),
        notes=tuple(findings.notes),
        local=tuple(findings.local[name] for name in sorted(findings.local)),
        omitted=left_out,
        indexes=tuple(findings.indexes) if config.keep_indexes else (),
    )


def _chosen(config: ProjectConfig) -> frozenset[str]:
    extras = (f"the extra {name}" for name in config.extras)
    return frozenset((*extras, *(f"the group {name}" for name in config.groups)))


def _graph(path: Path) -> Graph:
    content: dict[str, Any] = read_lock_toml(path)
    version = content.get("version")
    if version != _VERSION:
        raise LockError(
            f"{path} has version {excerpt(str(version))} of uv's format; version {_VERSION} is"
            " understood.",
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
    if root is None and not config.metadata.has_project and graph.members:
        return _workspace_root(graph)
    has = f"it has `{excerpt(root.name)}`" if root else "it has none for this folder"
    raise LockError(
        f"{path} is not the lock of the project `{config.project_name}`: {has}.",
        hint=_AGAIN,
    )


def _workspace_root(graph: Graph) -> Package:
    """Stand in for the project of a workspace that has none: all its members are wanted."""
    edges = (
        Edge(name=name, version=None, source=None, marker=None, extras=()) for name in graph.members
    )
    groups = graph.content.get("manifest", {}).get("dependency-groups", {})
    return Package(
        name="",
        version=None,
        source={"virtual": "."},
        dependencies=tuple(edges),
        extras={},
        groups={},
        wheels=(),
        has_sdist=False,
        hashes=(),
        metadata={"requires-dev": groups},
    )


def _check_lock(
    graph: Graph, root: Package, path: Path, config: ProjectConfig, findings: Findings
) -> None:
    """Compare the lock with the project, and with what is asked for."""
    compared = Compared(
        graph=graph, root=root, metadata=config.metadata, workspace=_workspace(path, config)
    )
    try:
        stale = compared.differences()
        unknown = [*_unknown(root, config), *_exclusive(graph, root, config)]
    except (KeyError, TypeError, AttributeError):
        raise _damaged(path) from None
    findings.wrong(f"{path} is stale: it does not say what {config.path} says.", _AGAIN, stale)
    findings.wrong(
        f"{path} has not all that is asked for:",
        "Correct `extras` and `groups`, or add them to the project and run: uv lock",
        unknown,
    )


def _check_neighbours(graph: Graph, path: Path, config: ProjectConfig, findings: Findings) -> None:
    """Compare the lock with the projects that it builds from folders."""
    workspace = _workspace(path, config)
    for package in (one for name in findings.local for one in graph.packages[name]):
        folder = path.parent / str(package.folder)
        if package.folder is None or not (folder / PYPROJECT).is_file():
            continue
        metadata = read_metadata(read_tables(folder), [])
        compared = Compared(
            graph=graph,
            root=package,
            metadata=metadata,
            workspace=workspace if package.name in graph.members else {},
        )
        try:
            stale = compared.dependency_differences() if metadata.has_project else []
        except (KeyError, TypeError, AttributeError):
            raise _damaged(path) from None
        findings.wrong(
            f"{path} is stale: it does not say what {folder / PYPROJECT} says.", _AGAIN, stale
        )


def _check_text(text: str, graph: Graph, path: Path, target: Target, findings: Findings) -> None:
    findings.wrong(
        f"{path} holds credentials:",
        "Keep them in uv's own store (`uv auth login`) or in the environment, and lock again.",
        credential_problems(text),
    )
    if graph.systems and not any(
        marker_of(marker).evaluate({**environment, "extras": frozenset()}, context="lock_file")
        for marker in graph.systems
        for environment in target.environments()
    ):
        findings.wrong(
            f"{path} was made for other machines:",
            "Add linux to `tool.uv.environments`, and lock again: uv lock",
            (f"`{marker}` does not hold on {target}." for marker in graph.systems),
        )


def _workspace(path: Path, config: ProjectConfig) -> dict[str, Any]:
    """Return `[tool.uv]` of the project that the lock lies beside."""
    if path.parent == config.root:
        return dict(config.metadata.uv)
    if not (path.parent / PYPROJECT).is_file():
        return {}
    return dict(read_tables(path.parent).table("tool", "uv") or {})


def _exclusive(graph: Graph, root: Package, config: ProjectConfig) -> Iterator[str]:
    """Say which of the extras and groups exclude one another, by what the lock declares."""
    chosen = {("extra", name) for name in config.extras} | {("group", g) for g in config.groups}
    for conflict in graph.content.get("conflicts", ()):
        asked = [
            f"the {kind} `{entry[kind]}`"
            for entry in conflict
            if entry["package"] == root.name
            for kind in ("extra", "group")
            if (kind, entry.get(kind)) in chosen
        ]
        if len(asked) > 1:
            yield f"Of {' and '.join(asked)} only one can be installed: `tool.uv.conflicts`."


def _unknown(root: Package, config: ProjectConfig) -> Iterator[str]:
    extras = {*root.extras, *root.metadata.get("provides-extras", ())}
    groups = {*root.groups, *root.metadata.get("requires-dev", {})}
    for kind, names, known in (
        ("extra", config.extras, extras),
        ("dependency group", config.groups, groups),
    ):
        there = ", ".join(sorted(map(str, known))) or "none"
        for name in names:
            if name not in known:
                yield f"There is no {kind} `{name}` (there are: {there})."
