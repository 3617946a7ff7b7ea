"""What a deployment is of: the project's own bundle, or one that is prepared."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.bundle.archive import Bundle
from hatch_connect.bundle.content import Patterns
from hatch_connect.bundle.describe import metadata_of
from hatch_connect.bundle.names import BUNDLE_SUFFIXES
from hatch_connect.connect.deployments import FOLDER, RecordStore, record_path
from hatch_connect.errors import ProjectError, StoreError, UsageError
from hatch_connect.events import Warned
from hatch_connect.options import SPECS
from hatch_connect.project.app_mode import EntrypointKind
from hatch_connect.project.config import all_contents
from hatch_connect.project.rules import title_rule, valid_content_name
from hatch_connect.ship.find import Clues
from hatch_connect.verbs.listing import Listing
from hatch_connect.verbs.project import build_contents, contents_of, project_of, root_of

if TYPE_CHECKING:
    from hatch_connect.bundle.request import Built
    from hatch_connect.connect.servers import Server
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.project.config import ProjectConfig
    from hatch_connect.verbs.surroundings import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A bundle, and what is known of the content that it becomes.

    `config` is None for a prepared bundle that is not the project's. `python_because` is empty
    where nothing says why the manifest asks for its Python. `known_by_name` is False where the
    name was made of a file's, which says nothing of what the content is.
    """

    bundle: Bundle
    config: ProjectConfig | None
    name: str
    title: str | None
    default_title: str
    filename: str
    records: RecordStore
    known_by_name: bool = True
    python_because: str = ""
    listing: Listing | None = None

    @property
    def home(self) -> Path:
        """The folder that the bundle was made from, or where it lies."""
        path = Path(self.filename)
        return path if path.is_dir() else path.parent

    def clues(self, options: Options, server: Server, report: Report) -> Clues:
        """Return what is known of the content on a server."""
        guid = self.config.guid if self.config else None
        known = Clues(guid=guid, name=self.name if self.known_by_name else None)
        return clues_of(self.records, options, server, known, report)


def prepared_or_built(
    options: Options, surroundings: Surroundings, report: Report, *, into: Path
) -> tuple[Built | Bundle, ...]:
    """Open the bundle that was named, or build the project's. Raises ProjectError.

    A folder or a manifest is packed to a file in `into`.
    """
    if options.title and (wrong := title_rule(options.title)):
        raise UsageError(f"The title {wrong}.")
    if not options.file:
        return build_contents(options, surroundings, report)
    path = surroundings.directory / options.file
    if not path.exists():
        raise UsageError(f"There is no {path}.", hint="Name a bundle, a manifest or its folder.")
    _refuse_build_options(options)
    return (Bundle.open(path, into=into, report=report),)


def subject_of(
    made: Built | Bundle,
    options: Options,
    surroundings: Surroundings,
    server: Server,
    report: Report,
) -> Subject:
    """Put together what is known of the content that a bundle becomes on a server."""
    if isinstance(made, Bundle):
        config = _owner(made, options, surroundings, on=server.name)
        if config is not None:
            return _of_project(made, config, surroundings, report)
        return _independent(made, options, surroundings, report)
    config = project_of(options, surroundings, content=made.content, on=server.name)
    return replace(
        _of_project(made.bundle, config, surroundings, report),
        python_because=made.python.because if made.python else "",
        listing=Listing.of(made) if options.list else None,
    )


def configured_server(
    made: Built | Bundle, options: Options, surroundings: Surroundings
) -> str | None:
    """Return what pyproject.toml calls the server; a prepared bundle needs no project."""
    if isinstance(made, Bundle):
        config = _owner(made, options, surroundings)
        return config.server if config else None
    return project_of(options, surroundings, content=made.content).server


def _refuse_build_options(options: Options) -> None:
    """Refuse what shapes a bundle where the bundle is made already."""
    given = [
        spec.flags[0]
        for spec in SPECS.values()
        if spec.group == "build" and spec.key != "list" and getattr(options, spec.key)
    ]
    if given:
        raise UsageError(
            f"{', '.join(given)}: a prepared bundle is deployed as it is.",
            hint="Leave the option out, or make the bundle anew.",
        )


def clues_of(
    records: RecordStore, options: Options, server: Server, known: Clues, report: Report
) -> Clues:
    """Put together what is known of content: the call, the record, then what the table says.

    A record that cannot be understood is reported, and left out of account.
    """
    try:
        record = records.get(server.url)
    except StoreError as error:
        report(Warned(text=f"{error.message} The content is looked for without it."))
        record = None
    return replace(
        known,
        app_id=options.app_id,
        recorded=record.app_guid if record else None,
        recorded_in=str(records.path),
    )


def records_of(
    root: Path, content: str | None, surroundings: Surroundings, report: Report
) -> RecordStore:
    """Return the records of a project's deployments.

    They are kept in the project where its `.gitignore` names their folder, or where there is one
    already: otherwise the folder would be taken into the project's sdist, since build back ends
    read no other ignore file than that.
    """
    place = record_path(
        root,
        content,
        environ=surroundings.environ,
        platform=sys.platform,
        in_project=(root / FOLDER).is_dir() or _ignores_records(root / ".gitignore"),
    )
    return RecordStore(place, report)


def _ignores_records(file: Path) -> bool:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return Patterns(lines).match(f"{FOLDER}/record.json")


def _of_project(
    bundle: Bundle, config: ProjectConfig, surroundings: Surroundings, report: Report
) -> Subject:
    return Subject(
        bundle=bundle,
        config=config,
        name=config.content_name,
        title=config.title,
        default_title=_title_of(config),
        filename=str(config.root),
        records=records_of(config.root, config.content, surroundings, report),
    )


def _title_of(config: ProjectConfig) -> str:
    """Take the title from the file that is shown, where there is one, else from the content."""
    file = config.app_mode.entrypoint is EntrypointKind.FILE and config.entrypoint
    title = Path(file).stem if file else ""
    return config.content_name if title in {"", "index"} or title_rule(title) else title


def _owner(
    bundle: Bundle, options: Options, surroundings: Surroundings, *, on: str | None = None
) -> ProjectConfig | None:
    """Return the project's content that a prepared bundle is of, or None.

    It is the one that `--content` names; else the bundle lies where the project's builds go or
    has the content's name, and is of the content's mode and entrypoint.
    """
    try:
        root = root_of(options, surroundings)
        names = contents_of(options, surroundings) if options.content else all_contents(root)
        configs = [project_of(options, surroundings, content=name, on=on) for name in names]
    except ProjectError:
        return None
    if options.content:
        return configs[0]
    path = Path(normpath(surroundings.directory / str(options.file)))
    return next((c for c in configs if _is_named_for(path, c) and _is_like(bundle, c)), None)


def _is_named_for(path: Path, config: ProjectConfig) -> bool:
    if (config.root / "dist" / "connect") in path.parents:
        return True
    name = path.parent.name if path.name == "manifest.json" else _stem(path)
    return name == config.content_name or name.startswith(f"{config.content_name}-")


def _is_like(bundle: Bundle, config: ProjectConfig) -> bool:
    ours, theirs = metadata_of(config), bundle.manifest.metadata
    return (ours.app_mode, ours.entrypoint, ours.primary_html) == (
        theirs.app_mode,
        theirs.entrypoint,
        theirs.primary_html,
    )


def _independent(
    bundle: Bundle, options: Options, surroundings: Surroundings, report: Report
) -> Subject:
    """Take a bundle for itself: its title comes from its primary file, else from its name."""
    path = surroundings.directory / str(options.file)
    metadata = bundle.manifest.metadata
    primary = metadata.primary_html or metadata.primary_rmd or _file_entrypoint(bundle)
    home = path.parent if path.is_file() else path
    if path.name == "manifest.json" and primary is None:
        primary = home.name
    of_project = _project_name(bundle, path)
    found = _stem(Path(primary)) if primary else of_project
    default_title = options.title or found or _stem(path)
    name = valid_content_name(default_title)
    return Subject(
        bundle=bundle,
        config=None,
        name=name,
        title=options.title,
        default_title=name if title_rule(default_title) else default_title,
        filename=str(path),
        # The official client files a manifest's record as if the manifest were a folder.
        records=records_of(path, None, surroundings, report),
        known_by_name=found is not None and found == of_project,
    )


def _project_name(bundle: Bundle, path: Path) -> str | None:
    """Return the name less the version, where the bundle's own metadata tell the two apart."""
    stem = _stem(path)
    for file in bundle.manifest.files:
        info, _, rest = file.path.partition("/")
        version = info.removesuffix(".dist-info").rpartition("-")[2]
        if rest == "METADATA" and stem.endswith(f"-{version}"):
            return stem.removesuffix(f"-{version}")
    return None


def _file_entrypoint(bundle: Bundle) -> str | None:
    entrypoint = bundle.manifest.metadata.entrypoint
    listed = {file.path for file in bundle.manifest.files}
    return entrypoint if entrypoint in listed else None


def _stem(path: Path) -> str:
    ending = next((end for end in BUNDLE_SUFFIXES if path.name.endswith(end)), path.suffix)
    return path.name.removesuffix(ending)
