"""One deployment: from an uploaded archive to content that can be visited.

What is shown without a process is pages: files as they are in the bundle, or rendered here.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatch_connect.errors import BundleError
from hatch_connect.events import Detail
from hatch_connect.local.archives import unpack
from hatch_connect.local.checks import check
from hatch_connect.local.disk import despite_full_disk, writing
from hatch_connect.local.environments import REUSED
from hatch_connect.local.files import remove_folder
from hatch_connect.local.modes import KNOWN, MODES, mode_of
from hatch_connect.local.processes import StartError, run_logged
from hatch_connect.local.pythons import choose_installed
from hatch_connect.local.runtime_settings import wants_process
from hatch_connect.local.state import StoredDeployment, now
from hatch_connect.local.tasks import in_thread
from hatch_connect.project.content_kind import QUARTO_PROJECTS
from hatch_connect.project.discovery import is_quarto_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hatch_connect.bundle.manifest import (
        Jupyter,
        Manifest,
    )
    from hatch_connect.local.environments import Environment
    from hatch_connect.local.logs import JobLog
    from hatch_connect.local.machine import Machine
    from hatch_connect.local.pythons import Python
    from hatch_connect.local.state import StoredBundle, StoredContent, StoredJob
    from hatch_connect.local.tasks import Task

_INDEX = "index.html"
_OUTPUT = "_rendered"  # Quarto writes below its document only
RENDERED = ("jupyter-static", "quarto-static")
"""The app modes that are rendered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deployment:
    """What every step of one deployment works with."""

    machine: Machine
    content: StoredContent
    task: Task


def start_deployment(
    machine: Machine, bundle: StoredBundle, *, activate: bool, render: bool = True
) -> Task:
    """Return the task that deploys a bundle; it is known to later servers as well.

    Without `render` pages that there are already are kept: Connect calls that building.
    """

    async def work(task: Task) -> None:
        with writing(machine.setup.folder):
            await deploy(machine, bundle, task, activate=activate, render=render)

    def ended(task: Task) -> None:
        finished = replace(begun, ended=now(), code=task.code, error=task.error)
        with despite_full_disk(machine.setup.report):
            machine.state.save_deployment(finished)

    task = machine.tasks.start(work, ended, bundle)
    begun = StoredDeployment(
        id=task.id, content=bundle.content, bundle=bundle.id, activate=activate, started=now()
    )
    with despite_full_disk(machine.setup.report):
        machine.state.save_deployment(begun)
    return task


def start_rendering(machine: Machine, bundle: StoredBundle) -> Task:
    """Return the task that renders a deployed bundle again."""

    async def work(task: Task) -> None:
        with writing(machine.setup.folder):
            async with machine.content_lock(bundle.content):
                content, current = _as_they_are(machine, bundle)
                if content is None or current is None:
                    return
                deployment = _Deployment(machine=machine, content=content, task=task)
                machine.state.save_bundle(await _prepare(deployment, current))
                task.write(f"Completed the rendering of {content.name}")

    return machine.tasks.start(work, about=bundle)


def _as_they_are(
    machine: Machine, bundle: StoredBundle
) -> tuple[StoredContent | None, StoredBundle | None]:
    """Return the content and the bundle of a deployment that may have waited for another one."""
    return machine.state.content_by_id(bundle.content), machine.state.bundle(bundle.id)


async def deploy(
    machine: Machine, bundle: StoredBundle, task: Task, *, activate: bool, render: bool = True
) -> None:
    """Check a bundle, restore its packages and, unless it is a draft, make it the active one.

    Raises BundleError if that is not possible: then what is active stays as it was.
    """
    async with machine.content_lock(bundle.content):
        content, current = _as_they_are(machine, bundle)
        if content is None or current is None:
            return
        machine.setup.report(Detail(text=f"{content.name}: deploying bundle {bundle.id}"))
        deployment = _Deployment(machine=machine, content=content, task=task)
        try:
            ready = await _prepare(deployment, current, render=render)
        except BaseException:
            if current.folder is None:  # it would be unpacked again
                await remove_folder(machine.files.unpacked(bundle))
            raise
        # It may have been changed, or removed, while the packages were installed.
        content = machine.state.content_by_id(bundle.content)
        if content is None:
            return
        machine.state.save_bundle(ready)
        if activate:
            task.write(f"Activating bundle {bundle.id}")
            begun = _Deployment(machine=machine, content=content, task=task)
            await _activate(begun, ready)
        else:
            task.write(f"Bundle {bundle.id} is a draft: the active bundle is unchanged.")
        task.write(f"Completed the deployment of {content.name}")


async def _prepare(
    deployment: _Deployment, bundle: StoredBundle, *, render: bool = True
) -> StoredBundle:
    machine = deployment.machine
    root, manifest = await _unpacked(deployment, bundle)
    mode = MODES[manifest.metadata.app_mode]
    _check_possible(machine, manifest.metadata.app_mode)
    if manifest.environment.image:
        deployment.task.write(
            f"Ignoring the image {manifest.environment.image}: the local server has no images."
        )
    ready = replace(
        bundle,
        app_mode=manifest.metadata.app_mode,
        entrypoint=manifest.metadata.entrypoint or "",
        failed="",
        folder=root.relative_to(machine.files.unpacked(bundle).parent).as_posix(),
    )
    ready = await _with_python(deployment, ready, manifest)
    if mode.kind == "process":
        # Content without Python is launched by ours.
        return ready if ready.environment else replace(ready, pages=f"unpacked/{ready.folder}")
    if not render and bundle.pages:
        return replace(ready, entrypoint=bundle.entrypoint)
    return await _prepare_pages(deployment, ready, manifest.jupyter)


def _check_possible(machine: Machine, app_mode: str) -> None:
    if lacking := MODES[app_mode].lacking:
        raise BundleError(lacking)
    if KNOWN[app_mode].is_quarto and machine.installed.quarto is None:
        raise BundleError(
            "Quarto is not installed: install it from https://quarto.org/docs/get-started/, make"
            " sure that `quarto` is on the PATH, and restart the server."
        )


async def _with_python(
    deployment: _Deployment, bundle: StoredBundle, manifest: Manifest
) -> StoredBundle:
    wanted, environment = manifest.python, manifest.environment
    if wanted is None:
        return bundle
    machine, task = deployment.machine, deployment.task
    release = machine.setup.claims.release
    pythons = await machine.installed.pythons()
    # What is already installed for a bundle stays good.
    usable = [one for one in pythons if one.publishable or one.version == bundle.python]
    requires = environment.python_requires if release.has("behaviour", "python requires") else None
    python = choose_installed(wanted.version, requires, usable)
    task.write(
        f"Bundle created with Python version {wanted.version} is compatible with environment"
        f" Local with Python version {python.version} from {python.path}"
    )
    managed = environment.manage_python
    if not release.has("behaviour", "environment management"):
        managed = None
    if managed is None:
        managed = deployment.content.settings.get("default_py_environment_management") is not False
    if managed:
        requirements = machine.files.root(bundle) / wanted.package_file
        installed = await _restore(deployment, bundle, requirements, python)
    else:
        task.write(
            f"Environment management is off: the content runs on {python.path}, with the packages"
            " installed there."
        )
        installed = await machine.environments.as_it_is(python)
    await machine.installed.runtime(python)
    return replace(
        bundle, environment=installed.folder.name, python=python.version, managed=managed
    )


async def _restore(
    deployment: _Deployment, bundle: StoredBundle, requirements: Path, python: Python
) -> Environment:
    """Return the environment for a package list; making it is a job of its own."""
    environments = deployment.machine.environments
    present = await environments.for_list(requirements, python)
    if present.use():
        deployment.task.write(REUSED)
        return present
    restored: list[Environment] = []

    async def work(log: JobLog, _job: StoredJob) -> int:
        def write(line: str) -> None:
            deployment.task.write(log.write("stdout", line))

        restored.append(await environments.restore(requirements, python, write))
        return 0

    if await deployment.machine.jobs.run(deployment.content, bundle, "python_restore", work):
        raise BundleError("Installing the packages was stopped.")
    return restored[0]


async def _unpacked(deployment: _Deployment, bundle: StoredBundle) -> tuple[Path, Manifest]:
    machine = deployment.machine
    folder = machine.files.unpacked(bundle)
    if bundle.folder is not None and folder.exists():
        # Checked when it was unpacked; its process may have written files since.
        root = machine.files.root(bundle)
        manifest = await asyncio.to_thread(check, root, files=False)
        return root, manifest
    deployment.task.write(f"Unpacking and checking bundle {bundle.id}")
    await remove_folder(folder)
    archive = machine.files.archive(bundle)
    if not archive.is_file():
        raise BundleError("The archive of this bundle no longer exists: upload it again.")
    try:
        root = await in_thread(lambda stop: unpack(archive, folder, stop))
        manifest = await asyncio.to_thread(check, root)
    except BaseException:
        await remove_folder(folder)
        raise
    return root, manifest


async def _activate(deployment: _Deployment, bundle: StoredBundle) -> None:
    machine, task = deployment.machine, deployment.task
    before = deployment.content.active_bundle
    replaces = before is not None and before != bundle.id and machine.processes.runs(before)
    is_process = mode_of(bundle).kind == "process"
    if is_process and (replaces or wants_process(deployment.content)):
        task.write("Starting its process before it takes over")
        try:
            await machine.running.prepare(deployment.content, bundle)
        except StartError as error:
            task.write(f"It did not start: {error}")
    # Both may have been changed, or removed, while it was started.
    content = machine.state.content_by_id(bundle.content)
    started = machine.state.bundle(bundle.id)
    if content is None or started is None:
        return
    active = replace(
        content,
        active_bundle=bundle.id,
        app_mode=bundle.app_mode or content.app_mode,
        python=bundle.python,
        deployed=now(),
    )
    with machine.state.transaction():
        machine.state.save_bundle(replace(started, activated=now()))
        machine.state.save_content(active)
    if before is not None and before != bundle.id:
        machine.processes.retire(before)


async def _prepare_pages(
    deployment: _Deployment, bundle: StoredBundle, jupyter: Jupyter
) -> StoredBundle:
    """Return the bundle with its pages, and its entrypoint as the first of them.

    Raises BundleError if they cannot be rendered; the pages of an earlier deployment stay.
    """
    machine = deployment.machine
    if bundle.app_mode not in RENDERED:
        return replace(bundle, pages=f"unpacked/{bundle.folder}")
    if bundle.app_mode == "quarto-static":
        rendered = machine.files.root(bundle) / _OUTPUT
    else:
        rendered = machine.files.rendered(bundle).with_suffix(".new")
    await remove_folder(rendered)
    await _render(deployment, bundle, jupyter, rendered)
    first = await asyncio.to_thread(_first_page, rendered)
    await asyncio.to_thread(_replace, rendered, machine.files.rendered(bundle))
    return replace(bundle, pages=f"rendered/{bundle.id}", entrypoint=first)


async def _render(
    deployment: _Deployment, bundle: StoredBundle, jupyter: Jupyter, output: Path
) -> None:
    machine, task = deployment.machine, deployment.task

    async def work(log: JobLog, job: StoredJob) -> int:
        context = machine.running.context(deployment.content, bundle, job)
        environ = context.environ()
        command: tuple[str | Path, ...]
        if bundle.app_mode == "jupyter-static":
            command = notebook_command(_of(context.python), bundle.entrypoint, jupyter, output)
        else:
            command = quarto_command(_of(machine.installed.quarto), bundle.entrypoint, output.name)
            environ |= {"QUARTO_PYTHON": str(context.python)} if context.python else {}

        def write(line: str) -> None:
            task.write(log.write("stdout", line))

        context.make_home()
        with _as_project(context.root, needed=bundle.app_mode == "quarto-static"):
            return await run_logged(command, environ=environ, folder=context.root, write=write)

    task.write(f"Rendering {bundle.entrypoint}")
    tag = mode_of(bundle).tag
    code = await machine.jobs.run(deployment.content, bundle, tag, work)
    if code:
        raise BundleError(f"Rendering {bundle.entrypoint!r} failed with exit code {code}.")


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


def _of(found: Path | None) -> Path:
    assert found is not None  # noqa: S101 - deployments end where it is missing
    return found


def _first_page(rendered: Path) -> str:
    pages = sorted(path.relative_to(rendered).as_posix() for path in rendered.rglob("*.html"))
    pages.sort(key=lambda page: (page != _INDEX, page.count("/")))
    if not pages:
        raise BundleError("Rendering did not produce an HTML page.")
    return pages[0]


def _replace(fresh: Path, old: Path) -> None:
    shutil.rmtree(old, ignore_errors=True)
    old.parent.mkdir(parents=True, exist_ok=True)
    fresh.rename(old)


def notebook_command(
    python: Path, notebook: str, jupyter: Jupyter, output: Path
) -> tuple[str | Path, ...]:
    """Return how to execute a notebook and to convert it to `output`/index.html."""
    hidden: list[str] = []
    if jupyter.hide_all_input:
        hidden.append("--no-input")
    if jupyter.hide_tagged_input:
        hidden += (
            "--TagRemovePreprocessor.enabled=True",
            "--TagRemovePreprocessor.remove_input_tags=hide_input",
        )
    return (
        *(python, "-m", "nbconvert", "--execute", "--to", "html"),
        # The kernel that a notebook names exists on its author's machine, not here.
        "--ExecutePreprocessor.kernel_name=python3",
        "--HTMLExporter.embed_images=True",
        *hidden,
        f"--output-dir={output}",
        "--output=index",
        notebook,
    )


def quarto_command(quarto: Path, document: str, output: str) -> tuple[str | Path, ...]:
    """Return how to render a document, or a project with `.`, to the folder `output` below it."""
    return (quarto, "render", document, "--output-dir", output)
