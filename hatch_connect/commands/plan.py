"""What `plan` and `deploy --dry-run` show: what is deployed, compared with what is there."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from hatch_connect.bundle.bundle import Bundle
from hatch_connect.bundle.manifest import Manifest
from hatch_connect.commands.result import Planned, Result, one_or_several
from hatch_connect.connect.resources import BundleInfo
from hatch_connect.errors import DIFFERENT, BundleError, ServerError
from hatch_connect.project.target import minor_of
from hatch_connect.ship.compare import (
    BundleView,
    Comparison,
    changes_of,
    compare_installed,
    summary,
)
from hatch_connect.ship.history import IDENTITY
from hatch_connect.ship.plan import Upload
from hatch_connect.ship.request import pythons_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hatch_connect.bundle.build_protocol import Built
    from hatch_connect.bundle.bundle import BundleContents
    from hatch_connect.commands.source import Source
    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import Content
    from hatch_connect.options import Options
    from hatch_connect.ship.plan import Plan
    from hatch_connect.ship.request import DeploymentRequest, ServerFacts

_LIMIT = 64 << 20  # bytes of a bundle that is downloaded to compare it
_COMMIT = re.compile(r"([0-9a-f]{7})[0-9a-f]*(-dirty)?")
_INFO = re.compile(r"[^/]+-([^-/]+)\.dist-info/METADATA")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One piece of content that is ready to be deployed: its bundle, and what was decided."""

    client: ConnectClient
    source: Source
    wanted: DeploymentRequest
    found: ServerFacts
    contents: BundleContents
    built: Built | None
    plan: Plan


def compared(planned: Planned, made: Prepared, folder: Path, options: Options) -> Planned:
    """Return what was planned as a comparison with what is there.

    The server is asked for what that needs, with `--check` also for what it has installed; a bundle
    is downloaded into `folder`.
    """
    found = _compare(made, folder, check=options.check)
    steps = (f"  {line}" for line in (planned.plan.lines() if options.verbose else ()))
    return replace(
        planned,
        lines=(
            *planned.listing.lines,
            *found.lines(every=options.verbose),
            *(f"  {note}" for note in planned.plan.notes if not options.verbose),
            *steps,
        ),
        facts={
            **planned.facts,
            "title": found.title,
            "action": found.action,
            "differs": found.differs,
            "growth": found.growth,
            "changes": [change.facts() for change in found.changes],
        },
        comparison=found,
    )


def planned_changes(plans: Sequence[Planned], *, check: bool) -> Result:
    """Return what all plans change; with `check` the exit code tells whether anything differs."""
    found = [each.comparison for each in plans if each.comparison]
    result = one_or_several(plans)
    differs = any(each.differs for each in found)
    return replace(
        result,
        lines=(*result.lines, summary(found)),
        marked=True,
        exit_code=DIFFERENT if check and differs else 0,
    )


def _compare(made: Prepared, folder: Path, *, check: bool) -> Comparison:
    content, found, client = made.plan.content, made.found, made.client
    names, variables = found.variable_names, made.wanted.variables
    active = _active(made)
    identity = found.identity or (active and dict(active.metadata).get(IDENTITY))
    same = identity == made.contents.identity if identity else None
    ours = _ours(made)
    opened = None if same or not (content and active) else _opened(client, content, active, folder)
    changes = changes_of(
        made.plan,
        ours,
        _theirs(active, opened, ours) if active else None,
        same=same,
        names=names,
        missing=() if names is None else variables.missing(names),
    )
    other = {each.differs for each in changes if each.subject == "bundle"}
    if check and content and active and True not in other:
        pins = ours.packages or {}
        changes += tuple(compare_installed(pins, _installed(client, content, active)))
    return Comparison(
        title=(content.title if content else made.wanted.title) or made.wanted.default_title,
        guid=content.guid if content else None,
        server=client.server.name or client.server.url,
        changes=changes,
        growth=_growth(made.contents, active) if other - {False} else 0,
    )


def _active(made: Prepared) -> BundleInfo | None:
    """Return the active bundle, None if there is none: as it is told if it is to be replaced."""
    content, known = made.plan.content, made.found.last  # that is the newest if none is active
    if content is None or content.bundle_id is None:
        return None
    if known and known.id == content.bundle_id:
        return known
    if any(isinstance(step, Upload) for step in made.plan.steps):
        with suppress(ServerError):  # it only informs
            return made.client.bundle(content.guid, content.bundle_id)
    return BundleInfo(id=content.bundle_id, archive_md5=None, metadata=())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A bundle of the server whose files are known; `read` returns one, None if it is not shown."""

    manifest: Manifest
    checksums: Mapping[str, str]
    digest: str
    read: Callable[[str], bytes | None]


def _opened(
    client: ConnectClient, content: Content, active: BundleInfo, folder: Path
) -> _Opened | None:
    """Ask for the manifest of a bundle, else for the bundle; None if the server shows neither."""
    guid, number = content.guid, active.id
    with suppress(ServerError, BundleError):
        shown = client.bundle_manifest(guid, number)
        manifest = Manifest.from_dict(shown) if shown else None
        if manifest and manifest.files:
            listed = {file.path: file.checksum for file in manifest.files}
            return _Opened(
                manifest=manifest,
                checksums=listed,
                digest=manifest.digest,
                read=lambda path: client.bundle_file(guid, number, path, listed.get(path, "")),
            )
    with suppress(ServerError, BundleError, OSError):
        archive = folder / f"{guid}-{number}.tar.gz"
        with archive.open("wb") as file:
            whole = (active.size or 0) <= _LIMIT and client.download_bundle(
                guid, active, file, limit=_LIMIT
            )
        if whole:
            bundle = Bundle.open(archive, into=folder)
            return _Opened(
                manifest=bundle.manifest,
                checksums=bundle.checksums(),
                digest=bundle.digest,
                read=bundle.read,
            )
    return None


def _installed(client: ConnectClient, content: Content, active: BundleInfo) -> dict[str, str]:
    """Return the packages that the server has installed for the active bundle; none if unknown."""
    with suppress(ServerError):
        if found := client.packages(content.guid):
            return {
                canonicalize_name(package.name): package.version
                for package in found
                if package.language == "python" and package.bundle_id in {None, active.id}
            }
    with suppress(ServerError):
        if locked := client.lockfile(content.guid):
            return _packages_in(locked.encode()) or {}
    return {}


def _growth(contents: BundleContents, active: BundleInfo | None) -> int:
    """Return by how many bytes the bundle is larger than the active one; 0 if that is not known."""
    before = active.size if active else 0
    return contents.size - before if isinstance(contents, Bundle) and before is not None else 0


def _ours(made: Prepared) -> BundleView:
    contents, built = made.contents, made.built
    bundle = contents if isinstance(contents, Bundle) else None
    runs_on = pythons_for(made.wanted, made.found)
    python = contents.manifest.python
    if built and built.packages:
        listed: bytes | None = built.packages.content
    else:
        listed = bundle.read(python.package_file) if bundle and python else None
    return BundleView(
        name=bundle.path.name if bundle else "",
        commit=_commit(made.source.commit()),
        digest=contents.digest,
        packages=_packages_in(listed),
        runs_on=max(runs_on, key=_order, default=""),
        # What is built lists its files as they are.
        **_described(contents.manifest, None if built or not bundle else bundle.checksums()),
    )


def _theirs(active: BundleInfo, opened: _Opened | None, ours: BundleView) -> BundleView:
    commit = _commit(dict(active.metadata))
    view = BundleView(name=active.id, active=True, commit=commit)
    if opened is None:
        return view
    view = replace(view, digest=opened.digest, **_described(opened.manifest, opened.checksums))
    path, files = view.package_file, view.files or {}
    if files.get(path) == (ours.files or {}).get(ours.package_file):
        return replace(view, packages=ours.packages)
    with suppress(ServerError, BundleError):
        listed = opened.read(path) if path else b""
        return replace(view, packages=_packages_in(listed))
    return view


def _packages_in(listed: bytes | None) -> dict[str, str] | None:
    from hatch_connect.locks.requirements import packages_in

    return None if listed is None else packages_in(listed)


def _described(manifest: Manifest, files: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the fields of a `BundleView` that a manifest, or the files themselves, tell."""
    if files is None:
        files = {file.path: file.checksum for file in manifest.files}
    versions = [match[1] for match in map(_INFO.fullmatch, files) if match]
    python = manifest.python
    return {
        "version": versions[0] if len(versions) == 1 else "",
        "files": files,
        "package_file": python.package_file if python else "",
        "python": minor_of(python.version) if python else "",
        "rest": dict(_flat(manifest.to_dict())),
    }


def _flat(table: Mapping[str, object], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield what a manifest says besides its files, by dotted keys."""
    for key, value in table.items():
        if isinstance(value, dict) and (above or key != "files"):
            yield from _flat(value, f"{above}{key}.")
        elif above or key != "files":
            yield f"{above}{key}", value if isinstance(value, str) else json.dumps(value)


def _commit(metadata: Mapping[str, str]) -> str:
    """Return the short form of the commit that a bundle was made from."""
    match = _COMMIT.fullmatch(metadata.get("source_commit", ""))
    return match[1] + (match[2] or "") if match else ""


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
