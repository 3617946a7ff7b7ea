"""What git knows of a project: its commit, the files that it tracks and those that it ignores.

Without git, what the project's `.gitignore` files say.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.bundle.patterns import last_word, read_patterns
from hatch_connect.programs import run_program, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pathspec import GitIgnoreSpec

_LINK = "120000"
_OWNER = 0o100

_SECONDS = 10
_SECONDS_OF_A_LISTING = 120
# git@host:owner/name and ssh://git@host/owner/name name what https://host/owner/name does.
_SHORT = re.compile(r"(?:[^/@:]+@)?([^/@:]+):(?!//)(.+)")
# Segments that Azure DevOps and Bitbucket put into the path for one of the protocols only.
_ONE_PROTOCOL = re.compile(r"^v3/(?=[^/]+/[^/]+/[^/]+$)|^scm/|(?<=/)_git/")
_LONG = re.compile(r"(?:https?|ssh|git)://(?:[^/@]*@)?([^/]+)/(.+)")
# Variables of git that we pass on. Others, such as GIT_DIR in a hook, are about another repository.
_OURS = ("GIT_CONFIG_", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM", "GIT_EXEC_")
_FIELDS = 4  # of an answer of `check-ignore --verbose -z`: file, line, pattern, path
_GITLINK = "160000"
_NOT_ON_DISK = "S"
_NO_COMMIT, _NO_BRANCH = "(initial)", "(detached)"  # what `git status` says instead


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checkout:
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


class Repository:
    """A project in git, its submodules and the repositories in it included.

    Files are named by where they really are (`real_path`): git refuses paths through links.
    `roots` are folders elsewhere to which links of the project may lead.
    """

    def __init__(self, root: Path, environ: Mapping[str, str], roots: Iterable[Path] = ()) -> None:
        self._environ = environ
        self.root = os.path.realpath(root)
        self.roots = tuple(dict.fromkeys((self.root, *map(os.path.realpath, roots))))
        self._bases: dict[str, _Base | None] = {}
        self._places: dict[str, tuple[_Base | None, str]] = {}
        self._real: dict[str, str] = {}
        self._rules: dict[str, str | None] = {}
        self._may_ignore: dict[str, bool] = {}

    @cached_property
    def unknown(self) -> str | None:
        """Why git has no answer for the project, or None."""
        return self._checkout(self.root).unknown

    def forget(self) -> None:
        """Forget what git said, which is much of very many files; it would be asked again."""
        self._bases.clear()
        self._places.clear()

    @property
    def is_there(self) -> bool:
        """Whether the project lies in a repository, whatever git says of it."""
        return any((at / ".git").exists() for at in (Path(self.root), *Path(self.root).parents))

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """The submodules of the project that are not checked out, nested ones too."""
        return tuple(self._missing(self.root, ""))

    def _missing(self, folder: str, prefix: str) -> Iterator[str]:
        checkout = self._checkout(folder)
        yield from (f"{prefix}{path}" for path in checkout.missing)
        for path in checkout.submodules:
            yield from self._missing(f"{folder}{os.sep}{path}", f"{prefix}{path}/")

    def real_path(self, source: Path | str) -> str:
        """Return where a file or a link lies: its folder resolved, the link itself not."""
        folder, name = os.path.split(source)
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        return os.path.join(self._real[folder], name)

    def ignored(self, real: str, *, folder: bool = False) -> str | None:
        """Return the rule by which git ignores a file or a folder, or None."""
        if real in self.roots:
            return None
        if folder:
            if real not in self._rules:
                self._rules[real] = self._rule(real, folder=True)
            return self._rules[real]
        return self._rule(real, folder=False)

    def _rule(self, real: str, *, folder: bool) -> str | None:
        parent, name = os.path.split(real)
        base, prefix = self._place(parent)
        if base is None:
            return None
        above = self.ignored(parent, folder=True)
        return above or base.rule(real, prefix + name + ("/" if folder else ""))

    def may_ignore_in(self, folder: str) -> bool:
        """Return False for a folder in which git ignores no file, as in most."""
        if folder not in self._may_ignore:
            base, prefix = self._place(folder)
            self._may_ignore[folder] = base is not None and (
                self.ignored(folder, folder=True) is not None or base.has_rules(folder, prefix)
            )
        return self._may_ignore[folder]

    def mode(self, real: str) -> str | None:
        """Return the mode of a file that git tracks, or None."""
        return self._mode(*os.path.split(real))

    def _mode(self, folder: str, name: str) -> str | None:
        base, prefix = self._place(folder)
        return base.checkout.tracked.get(prefix + name) if base else None

    def tracks_in(self, folder: str) -> bool:
        """Return whether git tracks a file of a folder that is on disk."""
        base = self._base(os.path.dirname(folder))
        return base is not None and base.tracks_in(folder)

    def is_executable(self, folder: str, name: str, on_disk: int) -> bool:
        """Return whether the owner may execute a file: as git has it, else by its own mode."""
        mode = self._mode(folder, name)
        if mode == _LINK or (mode is None and stat.S_ISLNK(on_disk)):
            target = os.path.realpath(os.path.join(folder, name))
            mode = self.mode(target)
            if mode is None:
                return on_disk_executable(target)
        if mode is not None:
            return bool(int(mode, 8) & _OWNER)
        return os.name != "nt" and bool(on_disk & stat.S_IXUSR)

    def _place(self, folder: str) -> tuple[_Base | None, str]:
        """Return what answers for a folder, and what precedes the names of its files there."""
        if folder not in self._places:
            base = self._base(folder)
            inside = base.inside(folder) if base else ""
            self._places[folder] = (base, f"{inside}/" if inside else "")
        return self._places[folder]

    def _base(self, folder: str) -> _Base | None:
        """Return the repository, or the root, that answers for a folder; None for elsewhere."""
        if folder not in self._bases:
            parent = os.path.dirname(folder)
            if folder in self.roots or (
                os.path.lexists(os.path.join(folder, ".git")) and self._base(parent) is not None
            ):
                self._bases[folder] = _Base(folder, self._environ)
            else:
                self._bases[folder] = self._base(parent) if parent != folder else None
        return self._bases[folder]

    def _checkout(self, folder: str) -> _Checkout:
        base = self._base(folder)
        return base.checkout if base else _Checkout()


def on_disk_executable(file: Path | str) -> bool:
    """Return whether the owner may execute a file; Windows has no such bit."""
    if os.name == "nt":
        return False
    try:
        return bool(os.stat(file).st_mode & stat.S_IXUSR)
    except OSError:
        return False


class _Base:
    """The top of a repository, or a root, which knows the rules for what is below it."""

    def __init__(self, folder: str, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = environ
        self._specs: dict[str, tuple[tuple[str, GitIgnoreSpec], ...]] = {}

    @cached_property
    def checkout(self) -> _Checkout:
        read_patterns(Path(self._folder, ".gitignore"))
        return _read_checkout(Path(self._folder), self._environ)

    def inside(self, real: str) -> str:
        return path_below(self._folder, real)

    def rule(self, real: str, path: str) -> str | None:
        """Return the rule for what lies in a folder that is not ignored itself.

        `path` is from the repository, with a final slash for a folder.
        """
        if self.checkout.unknown is None:
            return self.checkout.ignored.get(path)
        return self._by_files(real, folder=path.endswith("/"))

    def has_rules(self, folder: str, prefix: str) -> bool:
        """Return whether a file of a folder, which is not ignored itself, may be ignored.

        `prefix` is the folder's path from the repository, with a final slash.
        """
        if self.checkout.unknown is None:
            return prefix in self._holds_ignored
        return bool(self._specs_for(folder))

    @cached_property
    def _holds_ignored(self) -> frozenset[str]:
        """The folders (`a/b/`) that hold something that git ignores."""
        parts = (path.rstrip("/").rpartition("/") for path in self.checkout.ignored)
        return frozenset(folder + slash for folder, slash, _ in parts)

    def _by_files(self, real: str, *, folder: bool) -> str | None:
        """Read the `.gitignore` files from the repository's top downward; the last match counts."""
        rule = None
        for place, spec in self._specs_for(os.path.dirname(real)):
            path = path_below(place, real) + ("/" if folder else "")
            said = last_word(spec, path)
            if said is not None:
                name = os.path.relpath(place, self._folder).replace(os.sep, "/")
                where = ".gitignore" if name == "." else f"{name}/.gitignore"
                rule = f"git would ignore it ({where})" if said else None
        return rule

    def _specs_for(self, folder: str) -> tuple[tuple[str, GitIgnoreSpec], ...]:
        """Return what the `.gitignore` files say that count in a folder, and where each lies."""
        if folder not in self._specs:
            top = folder == self._folder
            places = self._above if top else [folder]
            own = ((place, read_patterns(Path(place, ".gitignore"))) for place in places)
            above = () if top else self._specs_for(os.path.dirname(folder))
            self._specs[folder] = (*above, *((place, spec) for place, spec in own if spec))
        return self._specs[folder]

    @cached_property
    def _above(self) -> list[str]:
        """The folders whose files count for this one, from the top of its repository down."""
        above = [self._folder]
        for parent in Path(self._folder).parents:
            if os.path.lexists(os.path.join(above[0], ".git")):
                break
            above.insert(0, str(parent))
        top = os.path.lexists(os.path.join(above[0], ".git"))
        return above if top and not self._ignored_as_a_whole(above) else [self._folder]

    @staticmethod
    def _ignored_as_a_whole(above: list[str]) -> bool:
        for number, folder in enumerate(above[1:], 1):
            for place in above[:number]:
                spec = read_patterns(Path(place, ".gitignore"))
                path = os.path.relpath(folder, place).replace(os.sep, "/")
                if spec and last_word(spec, f"{path}/"):
                    return True
        return False

    def tracks_in(self, folder: str) -> bool:
        start = self.inside(folder) + "/"
        modules = (*self.checkout.submodules, *self.checkout.missing)
        if any(f"{path}/".startswith(start) for path in modules):
            return True
        first = bisect_left(self._tracked, start)
        inside = takewhile(lambda path: path.startswith(start), self._tracked[first:])
        return any(os.path.lexists(os.path.join(self._folder, path)) for path in inside)

    @cached_property
    def _tracked(self) -> list[str]:
        return sorted(self.checkout.tracked)


def path_below(folder: str, path: str) -> str:
    """Return the path (POSIX) from a folder to what lies below it."""
    return path[len(folder.rstrip(os.sep)) + 1 :].replace(os.sep, "/")


def _ask_git(
    folder: Path,
    environ: Mapping[str, str],
    *question: str,
    given: bytes | None = None,
    seconds: int = _SECONDS,
) -> subprocess.CompletedProcess[bytes] | None:
    """Ask git in a folder; None if there is no git, or it does not answer.

    A file system monitor that the repository's configuration names is not started, and git's own
    check of the folder's owner (`safe.directory`) applies.
    """
    git = shutil.which("git", path=environ.get("PATH", ""))
    if git is None:
        return None
    clean = {n: v for n, v in environ.items() if not n.startswith("GIT_") or n.startswith(_OURS)}
    try:
        return run_program(
            [git, "-c", "core.fsmonitor=false", *question],
            folder=folder,
            environ={**clean, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            given=given,
            seconds=seconds,
        )
    except (OSError, subprocess.SubprocessError):
        return None


def git_metadata(
    root: Path, environ: Mapping[str, str], *, tracked: str | None = None
) -> dict[str, str]:
    """Return what Connect notes with a bundle, by the official client's names.

    `source`, `source_repo` (as https, without credentials), `source_branch` (or the tag),
    `source_commit` (with `-dirty` if something is not committed). Empty outside of a
    repository, without git, and if git does not track the file `tracked`.
    """

    def ask(*question: str) -> str | None:
        answer = _ask_git(root, environ, *question, seconds=_SECONDS_OF_A_LISTING)
        if answer is None or answer.returncode != 0:
            return None
        return text_of(answer.stdout).strip()

    status = ask("status", "--porcelain=v2", "--branch", "--no-ahead-behind")
    lines = status.split("\n") if status else []
    about = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# "))
    commit, branch = about.get("branch.oid"), about.get("branch.head")
    if commit in {None, _NO_COMMIT}:
        return {}
    if tracked and ask("ls-files", "--error-unmatch", "--", tracked) is None:
        return {}
    found = {
        "source": "git",
        "source_repo": _https(ask("remote", "get-url", "origin") or ""),
        "source_branch": ask("describe", "--exact-match", "--tags")
        if branch == _NO_BRANCH
        else branch,
        "source_commit": commit + ("-dirty" if len(lines) > len(about) else ""),
    }
    return {key: value for key, value in found.items() if value}


def same_repository(one: str, other: str) -> bool:
    """Return whether two remotes name one repository: the host and the path count."""
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


def _read_checkout(folder: Path, environ: Mapping[str, str]) -> _Checkout:
    """Ask git which files of a folder it tracks, and which it ignores."""
    listed = _listing(folder, environ, "ls-files", "-t", "-s", "-z")
    if isinstance(listed, str):
        return _Checkout(unknown=listed)
    if not listed and not (folder / ".git").exists() and _is_ignored(folder, environ):
        return _Checkout(unknown="ignored as a whole by a repository around it")
    tracked: dict[str, str] = {}
    links: list[str] = []
    for entry in listed:
        about, _, path = entry.partition("\t")
        tag, mode, *_ = about.split(" ")
        if mode == _GITLINK:
            links += [] if tag == _NOT_ON_DISK else [path]
        elif tag != _NOT_ON_DISK:
            tracked[path] = sys.intern(mode)
    there = tuple(path for path in links if (folder / path / ".git").exists())
    return _Checkout(
        tracked=tracked,
        ignored=_ignored(folder, environ),
        submodules=there,
        missing=tuple(path for path in links if path not in there),
    )


def _listing(folder: Path, environ: Mapping[str, str], *question: str) -> list[str] | str:
    """Return the entries of an answer, or why there is none."""
    answer = _ask_git(folder, environ, *question, seconds=_SECONDS_OF_A_LISTING)
    if answer is None:
        return "git was not found or did not respond"
    if answer.returncode != 0:
        said = text_of(answer.stderr).strip().splitlines()
        return said[0].removeprefix("fatal: ") if said else "git failed"
    return [os.fsdecode(entry) for entry in answer.stdout.split(b"\0")[:-1]]


def _is_ignored(folder: Path, environ: Mapping[str, str]) -> bool:
    answer = _ask_git(folder, environ, "check-ignore", "--quiet", ".")
    return answer is not None and answer.returncode == 0


def _ignored(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    listed = _listing(
        folder, environ, *("ls-files", "-o", "-i", "--exclude-standard", "--directory", "-z")
    )
    found = [] if isinstance(listed, str) else listed
    rules = dict(_rules(folder, found, environ)) if found else {}
    return {path: rules.get(path, "git ignores everything in it") for path in found}


def _rules(
    folder: Path, paths: Iterable[str], environ: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Return the line of the file by which each of these is ignored."""
    answer = _ask_git(
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
