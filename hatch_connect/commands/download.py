"""`download`: a bundle that the server keeps, as a file, checked against what the server says."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.bundle.archive import SUFFIX, replacing
from hatch_connect.commands.content import choose_bundle, deployed_content
from hatch_connect.commands.result import Result
from hatch_connect.errors import AnswerError, BundleError, RefusedError, UsageError
from hatch_connect.events import Note, Step
from hatch_connect.project.validators import valid_content_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedRandom, BufferedReader

    from hatch_connect.commands.call import Call
    from hatch_connect.commands.content import DeployedContent
    from hatch_connect.connect.resources import BundleInfo

_MD5 = 32  # hexadecimal digits
_GZIP = b"\x1f\x8b"
_FORBIDDEN = 403


def run_download(call: Call) -> Result:
    """Write a bundle to a file, and print its path. Raises UsageError, ServerError, BundleError."""
    with deployed_content(call) as found:
        guid, wanted = found.content.guid, call.options.bundle_id
        if wanted:
            with _for_collaborators():
                bundle = choose_bundle(found.client, guid, wanted, found.history.bundles)
        else:
            bundle = active_bundle(found)
        target = _target(call, file_name(found, bundle))
        if not _is_there(target, bundle):
            with replacing(target) as partial:
                download(found, bundle, partial)
        else:
            call.report(Note(text=f"Already downloaded: its MD5 is that of bundle {bundle.id}."))
    facts = {
        "path": str(target),
        "guid": guid,
        "bundle_id": bundle.id,
        "size": target.stat().st_size,
        "md5": _md5_of_file(target),
        "compared": _told(bundle) is not None,
        "metadata": dict(bundle.metadata),
    }
    return Result(lines=(str(target),), facts=facts)


def active_bundle(found: DeployedContent) -> BundleInfo:
    """Return the active bundle of content. Raises UsageError if there is none."""
    content = found.content
    if content.bundle_id is None:
        raise UsageError(
            f"Content {content.guid} on {found.server.url} has no active bundle.",
            hint="Deploy it first, or list its bundles with `hatch-connect versions`.",
        )
    with _for_collaborators():
        return found.client.bundle(content.guid, content.bundle_id)


@contextmanager
def _for_collaborators() -> Iterator[None]:
    """Say with a refusal who may see bundles."""
    try:
        yield
    except RefusedError as error:
        if error.status == _FORBIDDEN:
            error.hint = "Only collaborators can download bundles: ask the owner to make you one."
        raise


def file_name(found: DeployedContent, bundle: BundleInfo) -> str:
    """Return what to call the file of a bundle: its content's name and its number."""
    return f"{valid_content_name(f'{found.content.name}-{bundle.id}')}{SUFFIX}"


def download(found: DeployedContent, bundle: BundleInfo, path: Path) -> None:
    """Write the archive of a bundle to a new file. Raises ServerError, BundleError.

    What arrives must have the MD5 that the server told, or at least be an archive.
    """
    report = found.call.report
    size = "" if bundle.size is None else f" ({bundle.size:,} bytes)"
    report(Step(text=f"Downloading bundle {bundle.id} of content {found.content.guid}{size}"))
    with path.open("x+b") as file:
        with _for_collaborators():
            found.client.download_bundle(found.content.guid, bundle, file, report=report)
        md5 = _md5_of(file)
        file.seek(0)
        is_archive = file.read(len(_GZIP)) == _GZIP
    told = _told(bundle)
    if md5 != (told or md5) or not is_archive:
        compared = f" (MD5 {md5}, expected {told})" if told else ": it is not an archive"
        raise AnswerError(
            f"The downloaded file is not bundle {bundle.id}{compared}.",
            hint="A proxy may have changed it. Try again, or ask the administrator.",
        )
    if told is None:
        text = f"{found.server.url} does not provide the MD5 of bundle {bundle.id}"
        report(Note(text=f"{text}, so it was not checked."))


def _told(bundle: BundleInfo) -> str | None:
    """Return the MD5 that the server tells of an archive, None if that is none."""
    md5 = bundle.archive_md5
    return md5 if md5 and len(md5) == _MD5 else None


def _md5_of(file: BufferedRandom | BufferedReader) -> str:
    file.seek(0)
    digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest()


def _md5_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return _md5_of(file)


def _target(call: Call, name: str) -> Path:
    target = Path(call.surroundings.directory / (call.options.output or ""))
    return target / name if target.is_dir() else target


def _is_there(target: Path, bundle: BundleInfo) -> bool:
    """Return whether a file is this bundle already. Raises UsageError for another file there."""
    try:
        if not target.exists():
            return False
        if target.is_file() and _md5_of_file(target) == _told(bundle):
            return True
    except OSError as error:
        raise BundleError(f"{target} cannot be read: {error.strerror}.") from error
    raise UsageError(
        f"{target} already exists, and is not bundle {bundle.id}.",
        hint="Remove it, or choose another file with --output.",
    )
