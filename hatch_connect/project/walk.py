"""What in a project is no content, by names and marks of folders, and the walk over the rest.

Whether git tracks it, or `include` names it after all, is for `bundle/selector` to say; secrets are
known by `bundle/guard`.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase, translate
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


BUILD_OUTPUTS = "build outputs"


def _rules(rule: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, rule)


_NEVER = {
    **_rules("version control", ".git", ".hg", ".svn", ".bzr", "CVS"),
    **_rules(
        "a cache",
        *("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".cache"),
        *(".ipynb_checkpoints", ".tox", ".nox", ".hatch", ".pixi", ".eggs", ".quarto"),
    ),
    **_rules("a virtual environment", ".venv", "__pypackages__"),
    **_rules("deployment records", "rsconnect-python", ".posit"),
    **_rules("editor settings", ".Rproj.user", ".idea", ".vscode", ".vs"),
    **_rules("configuration of tools", ".circleci", ".devcontainer", ".forgejo", ".buildkite"),
}
_FILES = {
    **_rules("compiled Python", "*.py[cod]"),
    **_rules("a virtual environment", "pyvenv.cfg"),
    **_rules("left by a file manager", ".DS_Store", "Thumbs.db", "desktop.ini"),
    **_rules("left by a session", ".RData", ".Rhistory", ".coverage", ".coverage.*"),
    **_rules("a bundle from an earlier build", "*.connect.tgz"),
}
_ANY_FILE = re.compile("|".join(map(translate, _FILES)))  # one match for nearly all files
_UNLESS_TRACKED = _rules("installed packages", "node_modules", "site-packages")
_UNLESS_TRACKED_AT_TOP = {
    **_rules(BUILD_OUTPUTS, "build", "dist"),
    **_rules("deployment records", "rsconnect"),
    **_rules("installed packages", "packrat", "renv"),
}
_CONVENTIONAL = frozenset({".streamlit", ".well-known", ".chainlit"})
# What a folder holds that is a virtual or conda environment.
_ENVIRONMENT = (
    *("pyvenv.cfg", "conda-meta"),
    *("bin/python", "bin/python3", "Scripts/python.exe"),
)
# Folders that `python -m venv .` and `conda create -p .` create among the project's own files.
_PARTS = frozenset(
    {"bin", "compiler_compat", "conda-meta", "dlls", "etc", "include", "lib", "lib64", "library"}
    | {"man", "sbin", "scripts", "share", "ssl"}
)

# Files that describe a project to its tools. A site would serve them to its visitors, and the
# official client ships documents without them.
_OF_THE_PROJECT = frozenset({"pyproject.toml", "hatch.toml", "setup.py", "setup.cfg", "tasks.py"})
_OF_TOOLS = frozenset({"setup", "conftest", "noxfile", "tasks", "hatch_build"})
_TESTS = frozenset({"test", "tests", "testing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NoContent:
    """A rule by which a folder is not content; if `unless_tracked`, what git tracks still ships."""

    rule: str
    unless_tracked: bool = False


def never_content(name: str) -> str | None:
    """Return the rule by which nothing of this name is content, even if git tracks it."""
    if name.startswith(".git") and name != ".gitkeep":
        return _NEVER.get(name, "configuration of tools")
    return _NEVER.get(name)


def generated_file(name: str) -> str | None:
    """Return the rule by which a file of this name is not content, even if git tracks it."""
    if _ANY_FILE.match(name):
        return next(rule for pattern, rule in _FILES.items() if fnmatchcase(name, pattern))
    return never_content(name) if name.startswith(".git") else None


def no_content(folder: Path, *, at_top: bool) -> NoContent | None:
    """Return the rule by which a folder is no content, by its name and what is in it."""
    name = folder.name
    if rule := never_content(name):
        return NoContent(rule=rule)
    if _holds(folder, _ENVIRONMENT):
        return NoContent(rule="a virtual environment")
    rule = BUILD_OUTPUTS if name.endswith(".egg-info") else _UNLESS_TRACKED.get(name)
    if at_top and not rule:
        rule = _UNLESS_TRACKED_AT_TOP.get(name)
        if name.lower() in _PARTS and _holds(folder.parent, _ENVIRONMENT):
            rule = "a virtual environment"
        if rule and _holds(folder, ("__init__.py",)):
            rule = None  # a package may be named `build`
    return NoContent(rule=rule, unless_tracked=True) if rule else None


def is_hidden(name: str) -> bool:
    """Return whether a folder of this name is content only if git tracks files of it."""
    return name.startswith(".") and name not in _CONVENTIONAL


def describes_project(path: str) -> bool:
    """Return whether a file is about the project, and no part of a site or a document in it.

    Locks are, too; `hatch_connect.locks` knows their names.
    """
    return "/" not in path and (path in _OF_THE_PROJECT or path.startswith("."))


def is_for_developers(path: str) -> bool:
    """Return whether a Python file tests the code, or is what a tool runs: no entrypoint."""
    *folders, name = path.split("/")
    stem = name.removesuffix(".py")
    test = stem.startswith("test_") or stem.endswith("_test") or not _TESTS.isdisjoint(folders)
    return test or stem in _OF_TOOLS


def _holds(folder: Path, marks: tuple[str, ...]) -> bool:
    with suppress(OSError):  # a folder that cannot be read is reported when it is entered
        return any((folder / mark).exists() for mark in marks)
    return False


def walk(root: Path) -> Iterator[str]:
    """Return the files below `root` as POSIX paths, those of a folder before those below it.

    Folders that are no content, as far as their names and what is in them tell, and files whose
    names begin with a dot are passed over.
    """
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        at_top = here == root
        shown = sorted(name for name in folders if not name.startswith("."))
        folders[:] = [name for name in shown if no_content(here / name, at_top=at_top) is None]
        for name in sorted(files):
            if not name.startswith("."):
                yield (here / name).relative_to(root).as_posix()
