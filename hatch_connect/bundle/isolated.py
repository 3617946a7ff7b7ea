"""Builds in an isolated environment, which pypa/build makes."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from importlib.metadata import version as version_of
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hatch_connect.bundle.archive import is_within
from hatch_connect.bundle.strategy import OWN_NAME, requirement_name
from hatch_connect.errors import BuildError
from hatch_connect.events import Detail
from hatch_connect.programs import own_url, run_program, tail, text_of
from hatch_connect.project.walk import BUILD_OUTPUTS, no_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from build.env import DefaultIsolatedEnv
    from pyproject_hooks import SubprocessRunner

    from hatch_connect.bundle.repository import Repository
    from hatch_connect.events import Report

# Back ends that write nothing into the folder they build; others leave build/, *.egg-info ...
_TIDY = ("flit_core", "poetry.core", "uv_build")


def build_wheel(
    root: Path,
    backend: str | None,
    into: Path,
    repository: Repository,
    environ: Mapping[str, str],
    report: Report,
) -> Path:
    """Build the project's wheel by its own back end; nothing is written into the project.

    Links of it may lead to the roots of the `repository`.
    """
    from build import ProjectBuilder

    said: list[str] = []
    with _environment(report, said) as isolated, _source(root, backend, repository) as source:
        builder = ProjectBuilder.from_isolated_env(isolated, source, runner=_quiet(environ, said))
        isolated.install(builder.build_system_requires)
        isolated.install(builder.get_requires_for_build("wheel"))
        return Path(builder.build("wheel", str(into)))


def run_hatchling(
    root: Path,
    requires: Sequence[str],
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str],
    report: Report,
) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m hatchling` where `requires` and this package are installed."""
    with _environment(report, []) as isolated:
        others = [each for each in requires if requirement_name(each) != OWN_NAME]
        isolated.install([*others, _own_requirement(requires)])
        command = [isolated.python_executable, "-m", "hatchling", *arguments]
        surroundings = {**environ, **isolated.make_extra_environ()}
        return run_program(command, folder=root, environ=surroundings, together=True)


def _own_requirement(requires: Sequence[str]) -> str:
    """Return the requirement that installs this very package: as declared, or as it is here."""
    for requirement in requires:
        if requirement_name(requirement) == OWN_NAME and "@" in requirement:
            return requirement
    url = own_url()
    return f"{OWN_NAME} @ {url}" if url else f"{OWN_NAME}=={version_of(OWN_NAME)}"


@contextmanager
def _environment(report: Report, said: list[str]) -> Iterator[DefaultIsolatedEnv]:
    """Yield an environment; a failure in the block is a BuildError with the last output."""
    from build import BuildBackendException, BuildException, FailedProcessError
    from build.env import DefaultIsolatedEnv

    report(Detail(text="Creating an environment for the build"))
    try:
        with DefaultIsolatedEnv() as isolated:
            yield isolated
    except (
        BuildBackendException,
        BuildException,
        FailedProcessError,
        subprocess.CalledProcessError,
    ) as error:
        output = "".join(said) or _output(getattr(error, "exception", error)) or str(error)
        raise BuildError(
            f"The project cannot be built in an isolated environment:\n{tail(output)}",
            hint="Run `python -m build --wheel` for the full output.",
        ) from error


@contextmanager
def _source(root: Path, backend: str | None, repository: Repository) -> Iterator[Path]:
    """Yield a folder to build in: the project, or a copy if the back end writes into the folder."""
    if backend and backend.startswith(_TIDY):
        yield root
        return
    with TemporaryDirectory(prefix="hatch-connect-") as folder:
        copy = Path(folder) / (root.name or "project")
        shutil.copytree(root, copy, symlinks=True, ignore=_not_copied(root, repository))
        _keep_links(root, copy, repository.roots[1:])
        if (root / ".git").is_dir():
            # Version sources run git in the copy: this file leads it to the repository.
            (copy / ".git").write_text(f"gitdir: {root / '.git'}\n", encoding="utf-8")
        elif (root / ".git").is_file():
            shutil.copyfile(root / ".git", copy / ".git")
        yield copy


def _keep_links(root: Path, copy: Path, follow: tuple[str, ...]) -> None:
    """Point the links of a copy to where the project's links lead, if `follow` allows it."""
    for folder, folders, files in os.walk(copy) if follow else ():
        for link in (Path(folder, name) for name in (*folders, *files)):
            if link.is_symlink():
                target = os.path.realpath(root / link.relative_to(copy))
                if is_within(target, *follow):
                    link.unlink()
                    link.symlink_to(target)


def _not_copied(root: Path, repository: Repository) -> Callable[[str, list[str]], set[str]]:
    """Return the `ignore` of a copy: folders that are no content, outputs of builds excepted."""

    def is_left(folder: Path) -> bool:
        found = no_content(folder, at_top=folder.parent == root) if folder.is_dir() else None
        if found is None or found.rule == BUILD_OUTPUTS:
            return False
        # If tracked files were missing, version sources would report a modified checkout.
        return not repository.tracks_in(os.path.realpath(folder))

    return lambda folder, names: {name for name in names if is_left(Path(folder, name))}


def _quiet(environ: Mapping[str, str], said: list[str]) -> SubprocessRunner:
    def run(
        cmd: Sequence[str],
        cwd: str | None = None,
        extra_environ: Mapping[str, str] | None = None,
    ) -> None:
        # A version source that runs git must not write an index into the user's repository.
        surroundings = {**environ, "GIT_OPTIONAL_LOCKS": "0", **(extra_environ or {})}
        folder = Path(cwd or ".")
        done = run_program(cmd, folder=folder, environ=surroundings, together=True)
        said[:] = [text_of(done.stdout)]
        done.check_returncode()
        said.clear()

    return run


def _output(error: object) -> str:
    parts = (getattr(error, name, None) for name in ("stdout", "stderr"))
    return "".join(p.decode("utf-8", "replace") if isinstance(p, bytes) else p or "" for p in parts)
