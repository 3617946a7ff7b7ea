"""What is shown without a process: files as they are in the bundle, or rendered at deployment."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from hatch_connect.errors import BundleError
from hatch_connect.local.commands import notebook_command, quarto_command
from hatch_connect.local.entrypoints import QUARTO_PROJECTS, is_quarto_project
from hatch_connect.local.processes import run_program
from hatch_connect.local.state import now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hatch_connect.local.checks import Manifest
    from hatch_connect.local.machine import Machine
    from hatch_connect.local.state import StoredBundle, StoredContent
    from hatch_connect.local.tasks import Task

INDEX = "index.html"
_OUTPUT = "_rendered"  # Quarto writes below its document only


async def prepare_pages(
    machine: Machine, content: StoredContent, bundle: StoredBundle, manifest: Manifest, task: Task
) -> StoredBundle:
    """Return the bundle with its pages, and its entrypoint as the first of them.

    Raises BundleError if they cannot be rendered; the pages of an earlier deployment stay.
    """
    folder = f"unpacked/{bundle.folder}"
    if manifest.app_mode == "jupyter-static":
        rendered = machine.setup.folder / "rendered" / f"{bundle.id}.new"
        await asyncio.to_thread(shutil.rmtree, rendered, ignore_errors=True)
        await _render(machine, content, bundle, task, manifest=manifest, output=rendered)
    elif manifest.app_mode == "quarto-static":
        rendered = machine.setup.folder / folder / _OUTPUT
        await asyncio.to_thread(shutil.rmtree, rendered, ignore_errors=True)
        await _render(machine, content, bundle, task, manifest=manifest, output=rendered)
    else:
        return replace(bundle, pages=folder)
    first = await asyncio.to_thread(_first_page, rendered)
    await asyncio.to_thread(_replace, rendered, machine.rendered(bundle))
    return replace(bundle, pages=f"rendered/{bundle.id}", entrypoint=first)


async def _render(
    machine: Machine,
    content: StoredContent,
    bundle: StoredBundle,
    task: Task,
    *,
    manifest: Manifest,
    output: Path,
) -> None:
    log, job = machine.begin_job(content, bundle, _TAGS[manifest.app_mode])
    place = machine.place(content, bundle, job)
    environ = place.environ()
    command: tuple[str | Path, ...]
    if manifest.app_mode == "jupyter-static":
        command = notebook_command(_of(place.python), manifest, output)
    else:
        command = quarto_command(_of(machine.quarto), manifest.entrypoint, output.name)
        environ |= {"QUARTO_PYTHON": str(place.python)} if place.python else {}

    def write(line: str) -> None:
        task.write(line)
        log.write("stdout", line)

    task.write(f"Rendering {manifest.entrypoint}")
    place.make_home()
    code: int | None = None
    try:
        with _as_project(place.root, needed=manifest.app_mode == "quarto-static"):
            code = await run_program(command, environ=environ, folder=place.root, write=write)
    finally:
        log.close()
        machine.state.save_job(replace(job, ended=now(), exit_code=code))
    if code:
        raise BundleError(f"Rendering {manifest.entrypoint!r} failed with exit code {code}.")


@contextmanager
def _as_project(root: Path, *, needed: bool) -> Iterator[None]:
    """Make a folder a Quarto project: only a project can be rendered into another folder."""
    if not needed or is_quarto_project(root):
        yield
        return
    made = root / QUARTO_PROJECTS[0]
    made.touch()
    try:
        yield
    finally:
        made.unlink(missing_ok=True)


_TAGS = {"jupyter-static": "build_jupyter", "quarto-static": "build_report"}


def _of(found: Path | None) -> Path:
    assert found is not None  # noqa: S101 - deployments end where it is missing
    return found


def _first_page(rendered: Path) -> str:
    pages = sorted(path.relative_to(rendered).as_posix() for path in rendered.rglob("*.html"))
    pages.sort(key=lambda page: (page != INDEX, page.count("/")))
    if not pages:
        raise BundleError("Rendering gave no HTML page to show.")
    return pages[0]


def _replace(fresh: Path, old: Path) -> None:
    shutil.rmtree(old, ignore_errors=True)
    old.parent.mkdir(parents=True, exist_ok=True)
    fresh.rename(old)
