"""What a deployment is of: the project's own bundle, or one that is prepared."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.connect.deployments import RecordStore, record_path
from hatch_connect.errors import ProjectError, UsageError
from hatch_connect.events import Note
from hatch_connect.project.config import read_project
from hatch_connect.project.rules import title_rule, valid_content_name
from hatch_connect.verbs.listing import Listing
from hatch_connect.verbs.project import build_project, project_of, root_of

if TYPE_CHECKING:
    from hatch_connect.bundle.archive import Bundle
    from hatch_connect.connect.servers import Server
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.project.config import ProjectConfig
    from hatch_connect.verbs.surroundings import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A bundle, and what is known of the content that it becomes.

    `config` is None for a prepared bundle that is not the project's. `python_because` is empty
    where nothing says why the manifest asks for its Python.
    """

    bundle: Bundle
    config: ProjectConfig | None
    name: str
    title: str | None
    default_title: str
    filename: str
    records: RecordStore
    python_because: str = ""
    listing: Listing | None = None


def configured_server(options: Options, surroundings: Surroundings) -> str | None:
    """Return what pyproject.toml calls the server: needed before anything is built.

    A prepared bundle needs no project around it.
    """
    try:
        return project_of(options, surroundings).server
    except ProjectError:
        if options.file:
            return None
        raise


def subject_of(
    options: Options, surroundings: Surroundings, server: Server, report: Report
) -> Subject:
    """Build the project's bundle, or open the one that was named. Raises ProjectError."""
    if options.title and (wrong := title_rule(options.title)):
        raise UsageError(f"The title {wrong}.")
    if options.file:
        return _prepared(options, surroundings, server, report)
    built = build_project(options, surroundings, report)
    config = project_of(options, surroundings, on=server.name)
    because = built.python.because if built.python else ""
    listing = Listing.of(built) if options.list else None
    return _of_project(built.bundle, config, surroundings, because=because, listing=listing)


def records_of(root: Path, content: str | None, surroundings: Surroundings) -> RecordStore:
    """Return the records of a project's deployments."""
    place = record_path(root, content, environ=surroundings.environ, platform=sys.platform)
    return RecordStore(place)


def _of_project(
    bundle: Bundle,
    config: ProjectConfig,
    surroundings: Surroundings,
    *,
    because: str = "",
    listing: Listing | None = None,
) -> Subject:
    return Subject(
        bundle=bundle,
        config=config,
        name=config.content_name,
        title=config.title,
        default_title=config.content_name,
        filename=str(config.root),
        records=records_of(config.root, config.content, surroundings),
        python_because=because,
        listing=listing,
    )


def _prepared(
    options: Options, surroundings: Surroundings, server: Server, report: Report
) -> Subject:
    from tempfile import gettempdir

    from hatch_connect.bundle.archive import Bundle

    path = surroundings.directory / str(options.file)
    if not path.exists():
        raise UsageError(f"There is no {path}.", hint="Name a bundle, a manifest or its folder.")
    bundle = Bundle.open(path, into=Path(gettempdir()), report=report)
    config = _owner(bundle, options, surroundings, server)
    if config is not None:
        report(Note(text=f"{path.name} is a bundle of this project, {config.project_name}."))
        return _of_project(bundle, config, surroundings)
    return _independent(path, bundle, options, surroundings)


def _owner(
    bundle: Bundle, options: Options, surroundings: Surroundings, server: Server
) -> ProjectConfig | None:
    """Return the project that a prepared bundle is of: one of the same mode and entrypoint."""
    try:
        root = root_of(options, surroundings)
        config = read_project(root, overrides=options.overrides(), on=server.name)
    except ProjectError:
        return None
    metadata = bundle.manifest.metadata
    same = (metadata.app_mode, metadata.entrypoint) == (config.app_mode.name, config.entrypoint)
    return config if same else None


def _independent(
    path: Path, bundle: Bundle, options: Options, surroundings: Surroundings
) -> Subject:
    """Take a bundle for itself: its title comes from its primary file, else from its name."""
    metadata = bundle.manifest.metadata
    primary = metadata.primary_html or metadata.primary_rmd or _file_entrypoint(bundle)
    home = path.parent if path.is_file() else path
    if path.name == "manifest.json" and primary is None:
        primary = home.name
    title = _stem(Path(primary)) if primary else _stem(path)
    default_title = options.title or title
    return Subject(
        bundle=bundle,
        config=None,
        name=valid_content_name(default_title),
        title=options.title,
        default_title=default_title,
        filename=str(path),
        records=records_of(home, _stem(path) if path.is_file() else None, surroundings),
    )


def _file_entrypoint(bundle: Bundle) -> str | None:
    entrypoint = bundle.manifest.metadata.entrypoint
    listed = {file.path for file in bundle.manifest.files}
    return entrypoint if entrypoint in listed else None


def _stem(path: Path) -> str:
    return path.name.removesuffix(".tar.gz") if path.name.endswith(".tar.gz") else path.stem
