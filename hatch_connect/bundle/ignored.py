"""Which files git ignores, nested `.gitignore` files included."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pathspec import GitIgnoreSpec

_NOTHING_IGNORED = 1
_FIELDS = 4  # of an answer of `check-ignore --verbose -z`: file, line, pattern, path


def ignored_by_git(root: Path, paths: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Give those of the POSIX `paths` below `root` that git ignores, each with the rule.

    Where git cannot be asked (no repository, no git, a folder of somebody else), the `.gitignore`
    files of the tree are read instead.
    """
    groups: dict[Path, dict[str, list[str]]] = {}
    places = _Places(root)
    for path in paths:
        if (found := places.find(path)) is not None:
            repository, inside = found
            groups.setdefault(repository, {}).setdefault(inside, []).append(path)
    ignored = {}
    for repository, known in groups.items():
        answer = _ask_git(repository, known, environ)
        if answer is None:
            answer = _read_files(repository, known)
        ignored.update({path: rule for inside, rule in answer.items() for path in known[inside]})
    return ignored


class _Places:
    """Finds where a file really is: git refuses paths through links and into submodules."""

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))
        self._known: dict[str, tuple[Path, Path] | None] = {"": (self._root, self._root)}

    def find(self, path: str) -> tuple[Path, str] | None:
        """Give the repository (or the root) and the path in it; None for what is elsewhere."""
        folder, _, name = path.rpartition("/")
        place = self._folder(folder)
        if place is None:
            return None
        real, repository = place
        return repository, (real / name).relative_to(repository).as_posix()

    def _folder(self, folder: str) -> tuple[Path, Path] | None:
        if folder not in self._known:
            parent, _, name = folder.rpartition("/")
            self._known[folder] = self._below(self._folder(parent), name)
        return self._known[folder]

    def _below(self, parent: tuple[Path, Path] | None, name: str) -> tuple[Path, Path] | None:
        if parent is None:
            return None
        real, repository = parent
        folder = real / name
        if folder.is_symlink():
            target = Path(os.path.realpath(folder))
            if not target.is_relative_to(self._root):
                return None
            inside = target.relative_to(self._root).as_posix()
            return self._folder("" if inside == "." else inside)
        return folder, folder if (folder / ".git").exists() else repository


def _ask_git(root: Path, paths: Iterable[str], environ: Mapping[str, str]) -> dict[str, str] | None:
    git = shutil.which("git", path=environ.get("PATH", ""))
    # GIT_DIR and friends, as hooks of git set them, are about another call than this one.
    clean = {name: value for name, value in environ.items() if not name.startswith("GIT_")}
    if git is None or _root_is_ignored(git, root, clean):
        return None
    done = subprocess.run(
        [git, "check-ignore", "--verbose", "-z", "--stdin"],
        input=b"".join(os.fsencode(path) + b"\0" for path in paths),
        capture_output=True,
        check=False,
        cwd=root,
        env=clean,
    )
    if done.returncode not in {0, _NOTHING_IGNORED}:
        return None
    fields = [os.fsdecode(field) for field in done.stdout.split(b"\0")[:-1]]
    answers = zip(*(fields[n::_FIELDS] for n in range(_FIELDS)), strict=True)
    return {
        path: f"git ignores it ({file}:{line}: {pattern})"
        for file, line, pattern, path in answers
        if not pattern.startswith("!")
    }


def _root_is_ignored(git: str, root: Path, environ: Mapping[str, str]) -> bool:
    """Tell whether the project itself lies in an ignored folder of some repository around it."""
    done = subprocess.run(
        [git, "check-ignore", "--quiet", "."],
        capture_output=True,
        check=False,
        cwd=root,
        env=environ,
    )
    return done.returncode == 0


def _read_files(root: Path, paths: Iterable[str]) -> dict[str, str]:
    specs: dict[str, GitIgnoreSpec | None] = {}
    ignored = {}
    for path in paths:
        parts = path.split("/")
        rule = None
        for depth in range(len(parts)):
            folder = "/".join(parts[:depth])
            if folder not in specs:
                specs[folder] = _spec(root / folder / ".gitignore")
            spec = specs[folder]
            said = spec.check_file("/".join(parts[depth:])).include if spec else None
            if said is not None:
                rule = f"{folder}/.gitignore" if folder else ".gitignore"
                rule = rule if said else None
        if rule:
            ignored[path] = f"git would ignore it ({rule})"
    return ignored


def _spec(file: Path) -> GitIgnoreSpec | None:
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(file.read_text("utf-8", "replace").splitlines())
    except OSError:
        return None
