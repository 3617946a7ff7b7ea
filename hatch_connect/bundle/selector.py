"""Whether one file or folder that is proposed ships, whatever else the bundle holds.

The build proposes files (`Candidate`): those of its wheel, or of the tree. `exclude` and `include`
of [tool.hatch-connect], the guard and git decide. What depends on the other files is for `files`.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hatch_connect.bundle.archive import CIRCLE, is_within, regular_file, shown
from hatch_connect.bundle.guard import forbidden, forbidden_folder, secret_in
from hatch_connect.bundle.patterns import Patterns
from hatch_connect.bundle.repository import Repository, path_below
from hatch_connect.errors import BundleError
from hatch_connect.programs import IDENTITY_FILE
from hatch_connect.project.walk import BUILD_OUTPUTS, is_hidden, no_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.walk import NoContent

_OURS = "connect"  # in dist/, where bundles go
_ANY = "any"  # stands for whatever a folder may hold
_SMALL = 1 << 16  # files of this size are kept once they are read ...
_ROOM = 1 << 23  # ... as long as all of them have no more bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A file (or a folder, with a final slash) that does not ship, and the rule that says so."""

    path: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A file that the build proposes to ship as `path`.

    `origin` is its path in the project (POSIX), None if it lies outside. An artifact of the build,
    or what was asked for by name, ships `even_ignored` by git or generated; the very file that a
    user named ships `even_secret`. `executable` is None if the file itself says it; `size` is known
    of a regular file that was looked at, and of some small ones the `content`, read for the guard.
    """

    path: str
    source: str
    origin: str | None
    even_ignored: bool = False
    even_secret: bool = False
    executable: bool | None = None
    size: int | None = None
    content: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folder:
    """What counts for all files of a folder, where that really is, and the rules against it.

    `start` is what the real paths of its files begin with; `inside` is where that is in its root
    (`a/b/`), None if it lies in none.
    """

    path: str
    real: str
    start: str
    inside: str | None
    rules: tuple[NoContent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedFiles:
    """Which files ship, and which do not, each with the rule that leaves it out.

    `version` is the project's as the build knows it, None if it has none. `tree` says that the
    build selected files of the tree, not of a wheel; of a wheel's, `origins` are the paths in the
    project, as far as they are known.
    """

    files: tuple[Candidate, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    version: str | None = None
    tree: bool = False
    origins: frozenset[str] = frozenset()

    def add(self, files: Iterable[Candidate], left_out: Iterable[LeftOut]) -> SelectedFiles:
        """Return these and more; of two files with the same path, the one of these ships."""
        by_path = {file.path: file for file in (*files, *self.files)}
        return replace(self, files=tuple(by_path.values()), left_out=(*self.left_out, *left_out))

    def without(self, rule_of: Callable[[Candidate], str | None]) -> SelectedFiles:
        """Leave out the files for which there is a rule."""
        files, left_out = [], []
        for file in self.files:
            if (rule := rule_of(file)) is None:
                files.append(file)
            else:
                left_out.append(LeftOut(path=file.path, rule=rule))
        return replace(self, files=tuple(files), left_out=(*self.left_out, *left_out))

    def only(self, made: Path) -> SelectedFiles:
        """Return the same with one file that was made in place of all others."""
        file = Candidate(path=made.name, source=str(made), origin=None, even_secret=True)
        return replace(self, files=(file,), left_out=(), tree=True)


class Selector:
    """Decides on every folder and file of a piece of content, whichever way it was proposed.

    `roots` are the real paths of the project and of the folders that `follow-links` names.
    """

    def __init__(self, config: ProjectConfig, environ: Mapping[str, str]) -> None:
        self.root = Path(os.path.realpath(config.root))
        self.exclude = Patterns(config.exclude)
        self.include = Patterns(config.include)
        follow = [config.root / folder for folder in config.follow_links]
        self.repository = Repository(config.root, environ, follow)
        self.roots = self.repository.roots
        self._content_roots = (*self.roots, os.path.realpath(config.content_root))
        self._lexical = config.root
        token = environ.get(IDENTITY_FILE)
        self._token = os.path.realpath(token) if token else None
        self._circles: dict[str, bool] = {}
        self._folders: dict[str, _Folder] = {}
        self._chains: dict[str, tuple[NoContent, ...]] = {}
        self._guessed = False
        self._room = _ROOM

    def against_folder(self, path: str, source: Path, *, even_ignored: bool) -> str | None:
        """Return the rule by which a folder of the tree is not entered, or None.

        With `even_ignored`, folders that git ignores and build outputs are entered, since files
        that a user named may be in them.
        """
        name = path.rpartition("/")[2]
        if forbids := forbidden_folder(name):
            return forbids.rule
        link = self.repository.real_path(source)
        real = os.path.realpath(link)
        found = self._no_content(link)
        if found is None and not is_hidden(name):
            self._guessed = self._guessed or name.startswith(".")
            by_link = self.repository.ignored(link) if real != link else None
            rule_of_git = by_link or self.repository.ignored(real, folder=True)
            return None if even_ignored else rule_of_git
        if found is not None and not found.unless_tracked:
            return found.rule
        if self.repository.mode(link) or self.repository.tracks_in(real):
            return None
        if found is not None and found.rule == BUILD_OUTPUTS and even_ignored:
            return None
        with suppress(OSError):
            self._guessed = self._guessed or any(
                each.name != _OURS for each in Path(real).iterdir()
            )
        rule = found.rule if found else "a folder whose name begins with a dot"
        return rule if self.repository.unknown else f"{rule}, which git does not track"

    def require_checked_out(self, path: str) -> None:
        """Refuse a folder that is a submodule which is not checked out (BundleError)."""
        if path in self.repository.missing and not self.exclude.match(f"{path}/{_ANY}"):
            raise BundleError(
                f"The submodule {shown(path)} is not checked out, so its files cannot ship.",
                hint="Run `git submodule update --init --recursive` to check it out, or leave it"
                f' out: `exclude = ["/{path}/"]` in [tool.hatch-connect].',
            )

    def note(self) -> str | None:
        """Return a note for a project in which git could not be asked, or None."""
        why = self.repository.unknown
        if why is None or not (self._guessed or self.repository.is_there):
            return None
        trust = (
            f" To let git read it: `git config --global --add safe.directory {self.root}`."
            if "ownership" in why
            else ""
        )
        return (
            f"git could not list the tracked files of {self.root} ({why}): `.gitignore` was"
            " applied, `.streamlit`, `.well-known` and `.chainlit` ship, but build outputs"
            f" (`dist`, `build`) and other folders whose names begin with a dot do not.{trust}"
        )

    def enter(self, path: str, source: Path, *, even_ignored: bool = False) -> str | None:
        """Do as `against_folder`; refuse to enter a submodule that is not checked out."""
        rule = self.against_folder(path, source, even_ignored=even_ignored)
        if rule is None:
            self.require_checked_out(path)
        return rule

    def walk(self, root: Path, skip: Callable[[str], str | None]) -> Iterator[Candidate | LeftOut]:
        """Return the files below `root`, sorted, and the folders for which `skip` gives a rule.

        Links to folders are followed if they stay within the roots. One that leads elsewhere, or in
        a circle through another root, like anything else that is neither a file nor a folder, comes
        out as a file, so that it can be left out by name before `regular_file` refuses it.
        """
        project = self.roots[0]

        def below(folder: str, real: str, above: tuple[str, ...]) -> Iterator[Candidate | LeftOut]:
            at, under = os.path.join(root / folder, ""), f"{folder}/" if folder else ""
            for entry in self._entries(folder, real):
                path = under + entry.name
                if not _is_folder(entry):
                    yield Candidate(path=path, source=at + entry.name, origin=path)
                    continue
                target = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                if (rule := skip(path)) is not None:
                    yield LeftOut(path=f"{path}/", rule=rule)
                elif not is_within(target, *self.roots):
                    yield Candidate(path=path, source=at + entry.name, origin=path)
                elif target not in above:
                    yield from below(path, target, (*above, target))
                elif is_within(target, project) and is_within(real, project):
                    yield LeftOut(path=f"{path}/", rule=CIRCLE)
                else:
                    yield Candidate(path=path, source=at + entry.name, origin=path)

        top = os.path.realpath(root)
        yield from below("", top, (top,))

    def _entries(self, folder: str, real: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(real) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if self.exclude.match(f"{folder}/{_ANY}"):
                return []
            raise BundleError(
                f"The folder {shown(folder or '.')} cannot be read: {error.strerror}.",
                hint="Make it readable, or leave it out with `exclude` in [tool.hatch-connect].",
            ) from error

    def files_below(self, top: str) -> Iterator[str]:
        """Return the files of a folder of the project, by their paths from its root."""
        root = self._lexical

        def skip(folder: str) -> str | None:
            related = f"{folder}/".startswith(f"{top}/") or top.startswith(f"{folder}/")
            return self.enter(folder, root / folder) if related else "elsewhere"

        for file in self.walk(root, skip):
            if isinstance(file, Candidate) and file.path.startswith(f"{top}/"):
                yield file.path

    def require_regular(self, file: Candidate, *, outside: bool) -> None:
        """Do as `regular_file`, which resolves every folder of what it looks at."""
        may_be_there = outside or self._folder(os.path.dirname(file.source)).inside is not None
        if file.size is None or not may_be_there:
            regular_file(file.path, Path(file.source), self.roots, outside=outside)

    def choose(self, proposed: Iterable[Candidate | LeftOut]) -> SelectedFiles:
        """Decide which of the proposed files ship; what is left out already stays so."""
        shipped, left_out = [], []
        for each in proposed:
            found = self._decide(each) if isinstance(each, Candidate) else each
            if isinstance(found, LeftOut):
                left_out.append(found)
            else:
                shipped.append(found)
        return SelectedFiles(files=tuple(shipped), left_out=tuple(left_out))

    def _decide(self, candidate: Candidate) -> Candidate | LeftOut:
        at, name = os.path.split(candidate.source)
        folder = self._folder(at)
        link = folder.start + name
        status = _status(link)
        mode = status.st_mode if status else 0
        size = status.st_size if status and stat.S_ISREG(mode) else None
        real = os.path.realpath(link) if stat.S_ISLNK(mode) else link
        named = self._is_named(candidate)
        rule = self._excluded(candidate, folder)
        if real == self._token:
            rule = f"guard: {IDENTITY_FILE} names it"
        if rule is None and not named:
            rule = self._against(candidate, folder, link, real)
        if rule is None and (item := self._ignored(candidate, folder, link, real)) is not None:
            return item
        content = None
        # A file's content must be read for this, so it comes last.
        if rule is None and not named:
            content = self._content(real, size)
            found = secret_in(candidate.path, real if content is None else content, size=size)
            rule = found and f"guard: {found}"
        if rule:
            return LeftOut(path=candidate.origin or candidate.path, rule=rule)
        executable = candidate.executable
        if executable is None:
            executable = self.repository.is_executable(folder.real, name, mode)
        return Candidate(
            path=candidate.path,
            source=candidate.source,
            origin=candidate.origin,
            even_ignored=candidate.even_ignored,
            even_secret=candidate.even_secret,
            executable=executable,
            size=size,
            content=content,
        )

    def _content(self, file: str, size: int | None) -> bytes | None:
        """Return what is in a small file, so that it need not be read again."""
        if size is None or size > min(_SMALL, self._room):
            return None
        try:
            with FileIO(file) as stream:
                content = stream.read(size + 1)
        except OSError:
            return None
        if len(content) != size:
            return None
        self._room -= size
        return content

    def _excluded(self, candidate: Candidate, folder: _Folder) -> str | None:
        if self.exclude.lines:
            for path in dict.fromkeys((candidate.origin, candidate.path)):
                if path is not None and self.exclude.match(path):
                    return f"exclude: {self.exclude.which(path)}"
        return CIRCLE if self._in_circle(folder.path) else None

    def _against(self, candidate: Candidate, folder: _Folder, link: str, real: str) -> str | None:
        own = folder if real == link else self._folder(os.path.dirname(real))
        inside = None if own.inside is None else own.inside + real[len(own.start) :]
        # A file that Hatchling maps elsewhere, or that a link leads to, has several names.
        for path in dict.fromkeys((candidate.path, candidate.origin, inside)):
            rule = forbidden(path) if path else None
            if rule and (rule.secret or not candidate.even_ignored):
                return f"{'guard' if rule.secret else 'never shipped'}: {rule.rule}"
        return (
            None if candidate.even_ignored else self._against_folders(candidate, folder, link, real)
        )

    def _folder(self, folder: str) -> _Folder:
        if folder not in self._folders:
            real = os.path.realpath(folder)
            rules = dict.fromkeys((self._lexical_place(folder), real))
            self._folders[folder] = _Folder(
                path=folder,
                real=real,
                start=os.path.join(real, ""),
                inside=self._prefix(real),
                rules=tuple(rule for each in rules if each for rule in self._above(each)),
            )
        return self._folders[folder]

    def _prefix(self, real: str) -> str | None:
        """Return what precedes the name of a folder's file in its path from its root, or None."""
        root = next((root for root in self.roots if is_within(real, root)), None)
        if root is None:
            return None
        path = path_below(root, real)
        return ("" if root == self.roots[0] else "../") + (f"{path}/" if path else "")

    def _lexical_place(self, folder: str) -> str | None:
        """Return the path of a folder in the project as it is written: links are not resolved."""
        root = str(self._lexical)
        if not is_within(folder, root):
            return None
        return os.path.join(self.roots[0], folder[len(root.rstrip(os.sep)) + 1 :]).rstrip(os.sep)

    def _is_named(self, candidate: Candidate) -> bool:
        """Return whether a user named this very file, also one that the wheel holds elsewhere."""
        return candidate.even_secret or self.include.name(candidate.origin or "")

    def _in_circle(self, folder: str) -> bool:
        """Return whether a folder is reached through a link to one that holds the link."""
        if folder not in self._circles:
            parent = os.path.dirname(folder)
            self._circles[folder] = parent != folder and (
                self._in_circle(parent) or self._is_circle(Path(folder))
            )
        return self._circles[folder]

    def _is_circle(self, folder: Path) -> bool:
        if not folder.is_symlink() or not folder.is_relative_to(self._lexical):
            return False
        target, real = os.path.realpath(folder), os.path.realpath(folder.parent)
        way = (above for above in folder.parents if above.is_relative_to(self._lexical))
        if target not in map(os.path.realpath, way):
            return False
        if not is_within(real, self.roots[0]) or not is_within(target, self.roots[0]):
            regular_file(folder.relative_to(self._lexical).as_posix(), folder, self.roots)
        return True

    def _against_folders(
        self, candidate: Candidate, folder: _Folder, link: str, real: str
    ) -> str | None:
        found = folder.rules
        if real != link or folder.inside is None:
            found = (*found, *self._of_folders(candidate, link), *self._of_folders(candidate, real))
        for rule in found:
            if not (rule.unless_tracked and any(map(self.repository.mode, (link, real)))):
                return f"never shipped: {rule.rule}"
        return None

    def _of_folders(self, candidate: Candidate, place: str) -> tuple[NoContent, ...]:
        """Return the rules for the folders of a file: of a root, or of an unpacked wheel."""
        if is_within(place, *self.roots):
            return self._above(os.path.dirname(place))
        inside = candidate.path.count("/") if candidate.origin is None else 0
        found = (self._no_content(str(folder)) for folder in Path(place).parents[:inside])
        return tuple(filter(None, found))

    def _above(self, folder: str) -> tuple[NoContent, ...]:
        if folder not in self._chains:
            if not is_within(folder, *self.roots):
                return ()
            own, above = self._no_content(folder), self._above(os.path.dirname(folder))
            self._chains[folder] = (*above, own) if own else above
        return self._chains[folder]

    def _no_content(self, folder: str) -> NoContent | None:
        holds_content = any(is_within(path, folder) for path in self._content_roots)
        at_top = os.path.dirname(folder) == self.roots[0]
        return None if holds_content else no_content(Path(folder), at_top=at_top)

    def _ignored(self, candidate: Candidate, at: _Folder, link: str, real: str) -> LeftOut | None:
        if candidate.even_ignored or candidate.origin is None:
            return None
        if real == link and not self.repository.may_ignore_in(at.real):
            return None
        rule = self.repository.ignored(link)
        if rule is None and real != link:
            rule = self.repository.ignored(real)
        if rule is None:
            return None
        path = candidate.origin
        if real == str(self.root / path):
            for folder in reversed(PurePosixPath(path).parents[:-1]):
                if self.repository.ignored(str(self.root / folder), folder=True):
                    return LeftOut(path=f"{folder}/", rule=rule)
        return LeftOut(path=path, rule=rule)


def _status(file: str) -> os.stat_result | None:
    try:
        return os.lstat(file)
    except OSError:
        return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or into a folder that may not be entered
        return False
