"""What git knows of a project: its commit, the files that it tracks and those that it ignores."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_SECONDS = 10
_SECONDS_OF_A_LISTING = 120
# git@host:owner/name and ssh://git@host/owner/name name what https://host/owner/name does.
_SHORT = re.compile(r"(?:[^/@:]+@)?([^/@:]+):(?!//)(.+)")
# What Azure DevOps and Bitbucket put into a path for one protocol alone.
_ONE_PROTOCOL = re.compile(r"^v3/(?=[^/]+/[^/]+/[^/]+$)|^scm/|(?<=/)_git/")
_LONG = re.compile(r"(?:https?|ssh|git)://(?:[^/@]*@)?([^/]+)/(.+)")
# GIT_DIR and friends, as hooks of git set them, are about another call than ours.
_OURS = ("GIT_CONFIG_", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM", "GIT_EXEC_")
_FIELDS = 4  # of an answer of `check-ignore --verbose -z`: file, line, pattern, path
_GITLINK = "160000"
_NOT_ON_DISK = "S"


def ask_git(
    folder: Path,
    environ: Mapping[str, str],
    *question: str,
    given: bytes | None = None,
    seconds: int = _SECONDS,
) -> subprocess.CompletedProcess[bytes] | None:
    """Ask git in a folder; None where there is no git, or it does not answer.

    No program that the repository's configuration names as its monitor is started, and whose
    folder it is counts as git says (`safe.directory`).
    """
    git = shutil.which("git", path=environ.get("PATH", ""))
    if git is None:
        return None
    clean = {n: v for n, v in environ.items() if not n.startswith("GIT_") or n.startswith(_OURS)}
    try:
        return subprocess.run(
            [git, "-c", "core.fsmonitor=false", *question],
            cwd=folder,
            env={**clean, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None


def git_metadata(
    root: Path, environ: Mapping[str, str], *, tracked: str | None = None
) -> dict[str, str]:
    """Return what Connect notes with a bundle, by the official client's names.

    `source`, `source_repo` (as https, without credentials), `source_branch` (or the tag),
    `source_commit` (with `-dirty` where something is not committed). Empty outside of a
    repository, without git, and if git does not track the file `tracked`.
    """

    def ask(*question: str) -> str | None:
        answer = ask_git(root, environ, *question)
        if answer is None or answer.returncode != 0:
            return None
        return answer.stdout.decode("utf-8", "replace").strip()

    commit = ask("rev-parse", "HEAD")
    if not commit or (tracked and ask("ls-files", "--error-unmatch", "--", tracked) is None):
        return {}
    dirty = "-dirty" if ask("status", "--porcelain") else ""
    found = {
        "source": "git",
        "source_repo": _https(ask("remote", "get-url", "origin") or ""),
        "source_branch": ask("symbolic-ref", "--short", "--quiet", "HEAD")
        or ask("describe", "--exact-match", "--tags"),
        "source_commit": f"{commit}{dirty}",
    }
    return {key: value for key, value in found.items() if value}


def same_repository(one: str, other: str) -> bool:
    """Tell whether two remotes name one repository: the host and the path count."""
    return _host_and_path(one) == _host_and_path(other)


def _host_and_path(remote: str) -> tuple[str, str] | str:
    match = _LONG.fullmatch(remote) or _SHORT.fullmatch(remote)
    if match is None:
        return remote
    host = match[1].partition(":")[0].lower()
    path = _ONE_PROTOCOL.sub("", match[2].strip("/").lower()).removesuffix(".git")
    return re.sub(r"^(?:alt)?ssh\.", "", host), path


def _https(remote: str) -> str | None:
    match = _LONG.fullmatch(remote) or _SHORT.fullmatch(remote)
    if match is None:
        return None
    host = match[1].partition(":")[0] if remote.startswith("ssh://") else match[1]
    return f"https://{host}/{match[2]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """What git says of a folder; all paths are POSIX and below it.

    `tracked` has the mode of each tracked file (octal, as git writes it), `ignored` the rule by
    which a file is ignored, or a folder with all that is in it (`name/`). `submodules` are those
    that are checked out, `missing` those that are not; what a sparse checkout leaves out is in
    none of them. `unknown` says why git had no answer.
    """

    tracked: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)
    submodules: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unknown: str | None = None


def read_checkout(folder: Path, environ: Mapping[str, str]) -> Checkout:
    """Ask git which files of a folder it tracks, and which it ignores."""
    listed = _listing(folder, environ, "ls-files", "-t", "-s", "-z")
    if isinstance(listed, str):
        return Checkout(unknown=listed)
    if not listed and not (folder / ".git").exists() and _is_ignored(folder, environ):
        return Checkout(unknown="a repository around it ignores it as a whole")
    tracked: dict[str, str] = {}
    links: list[str] = []
    for entry in listed:
        about, _, path = entry.partition("\t")
        tag, mode, *_ = about.split(" ")
        if mode == _GITLINK:
            links += [] if tag == _NOT_ON_DISK else [path]
        elif tag != _NOT_ON_DISK:
            tracked[path] = mode
    there = tuple(path for path in links if (folder / path / ".git").exists())
    return Checkout(
        tracked=tracked,
        ignored=_ignored(folder, environ),
        submodules=there,
        missing=tuple(path for path in links if path not in there),
    )


def _listing(folder: Path, environ: Mapping[str, str], *question: str) -> list[str] | str:
    """Return the entries of an answer, or why there is none."""
    answer = ask_git(folder, environ, *question, seconds=_SECONDS_OF_A_LISTING)
    if answer is None:
        return "git is not there, or does not answer"
    if answer.returncode != 0:
        said = answer.stderr.decode("utf-8", "replace").strip().splitlines()
        return said[0].removeprefix("fatal: ") if said else "git failed"
    return [os.fsdecode(entry) for entry in answer.stdout.split(b"\0")[:-1]]


def _is_ignored(folder: Path, environ: Mapping[str, str]) -> bool:
    answer = ask_git(folder, environ, "check-ignore", "--quiet", ".")
    return answer is not None and answer.returncode == 0


def _ignored(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    listed = _listing(
        folder, environ, *("ls-files", "-o", "-i", "--exclude-standard", "--directory", "-z")
    )
    found = [] if isinstance(listed, str) else listed
    rules = dict(_rules(folder, found, environ)) if found else {}
    return {path: rules.get(path, "git ignores all that is in it") for path in found}


def _rules(
    folder: Path, paths: Iterable[str], environ: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Give the line of the file by which each of these is ignored."""
    answer = ask_git(
        folder,
        environ,
        *("check-ignore", "--verbose", "-z", "--stdin"),
        given=b"".join(os.fsencode(path) + b"\0" for path in paths),
        seconds=_SECONDS_OF_A_LISTING,
    )
    if answer is None:
        return
    fields = [os.fsdecode(part) for part in answer.stdout.split(b"\0")[:-1]]
    for file, line, pattern, path in zip(
        *(fields[n::_FIELDS] for n in range(_FIELDS)), strict=True
    ):
        yield path, f"git ignores it ({file}:{line}: {pattern})"
