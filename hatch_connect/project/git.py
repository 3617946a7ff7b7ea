"""What git knows of a project: which commit a bundle was built from."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SECONDS = 10
# git@host:owner/name and ssh://git@host/owner/name name what https://host/owner/name does.
_SHORT = re.compile(r"(?:[^/@:]+@)?([^/@:]+):(?!//)(.+)")
_LONG = re.compile(r"(?:https?|ssh|git)://(?:[^/@]*@)?([^/]+)/(.+)")


def git_metadata(
    root: Path, environ: Mapping[str, str], *, tracked: str | None = None
) -> dict[str, str]:
    """Return what Connect notes with a bundle, by the official client's names.

    `source`, `source_repo` (as https, without credentials), `source_branch` (or the tag),
    `source_commit` (with `-dirty` where something is not committed). Empty outside of a
    repository, without git, and if git does not track the file `tracked`.
    """
    git = shutil.which("git", path=environ.get("PATH", ""))

    def ask(*question: str) -> str | None:
        if git is None:
            return None
        try:
            answer = subprocess.run(
                [git, *question],
                cwd=root,
                env=dict(environ),
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return answer.stdout.strip() if answer.returncode == 0 else None

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


def _https(remote: str) -> str | None:
    match = _LONG.fullmatch(remote) or _SHORT.fullmatch(remote)
    if match is None:
        return None
    host = match[1].partition(":")[0] if remote.startswith("ssh://") else match[1]
    return f"https://{host}/{match[2]}"
