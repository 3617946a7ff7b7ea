"""Reads PEP 751 locks (`pylock.toml`, `pylock.NAME.toml`), whoever wrote them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from hatch_connect.errors import LockError
from hatch_connect.project.locks.declared import declared_local
from hatch_connect.project.locks.findings import Findings, credential_problems
from hatch_connect.project.locks.neighbours import required_name, wanted_members
from hatch_connect.project.locks.order import PYLOCK, read_lock_toml
from hatch_connect.project.locks.patches import choose_for_patches
from hatch_connect.project.locks.pylock_pins import AGAIN, Pinning
from hatch_connect.project.locks.pylock_reasons import Chosen
from hatch_connect.project.locks.satisfied import direct, unsatisfied
from hatch_connect.project.metadata import normalized
from hatch_connect.project.pins import Lock, less
from hatch_connect.project.settings import excerpt

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.pylock import Pylock

    from hatch_connect.project.locks.order import LockFile
    from hatch_connect.project.pins import Pin
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.target import Target


def read_pylock(found: LockFile, config: ProjectConfig, target: Target) -> Lock:
    """Read the lock for a target; raises LockError with everything that is wrong with it."""
    pylock = _parsed(found.path)
    data = found.path.read_bytes()
    text = data.decode()
    findings = Findings()
    findings.wrong(
        f"{found.path} holds credentials:",
        "Keep them in the configuration of the tool that locks, and lock again.",
        credential_problems(text),
    )
    pinning = Pinning(
        path=found.path,
        config=config,
        target=target,
        tags=tuple(target.tags()),
        chosen=_chosen(pylock, found, config, findings),
        findings=findings,
    )
    _add_members(found, config, findings)
    pins = choose_for_patches(
        found.path,
        text,
        target,
        requires_python=str(pylock.requires_python or ""),
        choose=lambda environment: pinning.choose(pylock, environment),
    )
    _check_fresh(found, config, pins, target, findings)
    findings.wrong(
        f"{found.path} is stale: it has what nothing asks for.",
        f"{AGAIN}.",
        (f"`{name}` is in the lock only." for name in pinning.unasked(pylock, pins)),
    )
    findings.check()
    # A lock that was made for one minor has no markers that hold for others.
    kept = config.keep_markers and found.python is None
    omitted = pinning.omitted(pylock, pins, target.environment())
    if kept:
        pins = pinning.kept(pylock)
        omitted = less(omitted, pins)
    return Lock(
        path=found.path,
        format=PYLOCK,
        pins=tuple(sorted(pins, key=lambda pin: pin.requirement)),
        sha256=hashlib.sha256(data).hexdigest(),
        markers_kept=kept,
        requires_python=str(pylock.requires_python) if pylock.requires_python else None,
        files=(found.path,),
        notes=tuple(findings.notes),
        local=tuple(findings.local[name] for name in sorted(findings.local)),
        omitted=omitted,
        indexes=tuple(findings.indexes) if config.keep_indexes else (),
    )


def _add_members(found: LockFile, config: ProjectConfig, findings: Findings) -> None:
    """Take members of a Hatch workspace from their folders: the lock has not looked there."""
    if not found.hatch:
        return
    wanted = tuple((required_name(text), asking) for text, asking in direct(config))
    findings.local |= {one.name: one for one in wanted_members(config, wanted)}


def _check_fresh(
    found: LockFile,
    config: ProjectConfig,
    pins: tuple[Pin, ...],
    target: Target,
    findings: Findings,
) -> None:
    if found.hatch and not config.hatch_environment.installs_project:
        return
    with_hatch = " (hatch env lock)" if found.hatch else ""
    findings.wrong(
        f"{found.path} is stale: it is not what {config.path} asks for.",
        f"{AGAIN}{with_hatch}.",
        unsatisfied(
            config,
            pins,
            target,
            local=(
                *declared_local(config, target, uv=not found.hatch),
                *findings.local.values(),
            ),
        ),
    )


def _parsed(path: Path) -> Pylock:
    from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError

    try:
        return Pylock.from_dict(read_lock_toml(path))
    except PylockUnsupportedVersionError as error:
        raise LockError(f"{path}: {error}.", hint="Update hatch-connect.") from None
    except PylockValidationError as error:
        raise LockError(
            f"{path} is no valid lock: {excerpt(str(error))}.", hint=f"{AGAIN}."
        ) from None


def _chosen(pylock: Pylock, found: LockFile, config: ProjectConfig, findings: Findings) -> Chosen:
    """Check what the configuration asks for against what the lock offers.

    `select` ignores unknown names in silence. A Hatch environment's lock has its extras and
    groups baked in and offers none.
    """
    extras = frozenset(normalized(name) for name in pylock.extras or ())
    groups = frozenset(normalized(name) for name in pylock.dependency_groups or ())
    default = frozenset(normalized(name) for name in pylock.default_groups or ())
    baked_extras, baked_groups = _baked(pylock)
    findings.wrong(
        f"{found.path} has not all that is asked for:",
        f"{AGAIN}, with these extras and groups, or do not ask for them.",
        (
            f"There is no {kind} `{name}` in it (there are: {', '.join(sorted(known)) or 'none'})."
            for kind, names, known in (
                ("extra", config.extras, extras | baked_extras),
                ("dependency group", config.groups, groups | default | baked_groups),
            )
            for name in names
            if name not in known
        ),
    )
    more = (baked_extras - {*config.extras}) | (baked_groups - {"main", *config.groups})
    findings.wrong(
        f"{found.path} has more than is asked for:",
        "Export it again without: poetry export -f pylock.toml -o pylock.toml",
        (f"It was exported with `{name}`." for name in sorted(more)),
    )
    # Naming groups takes the place of the default ones, which hold pdm's main dependencies. A
    # group of the project's own is for development, whatever its tool installs by default.
    own = {normalized(name) for name, _ in config.metadata.groups}
    return Chosen(
        extras=frozenset(config.extras), groups=(default - own) | frozenset(config.groups)
    )


def _baked(pylock: Pylock) -> tuple[frozenset[str], frozenset[str]]:
    """Return the extras and groups that poetry put in without markers, as it notes."""
    note = (pylock.tool or {}).get("poetry-plugin-export")
    told = note if isinstance(note, dict) else {}
    extras, groups = (
        frozenset(normalized(str(name)) for name in names)
        if isinstance(names, list)
        else frozenset()
        for names in (told.get("extras"), told.get("groups"))
    )
    return extras, groups
