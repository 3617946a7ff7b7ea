"""The source of a deployment: a project, a prepared bundle, or the bundle of the last build."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import cache, partial
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_connect.bundle.archive import BUNDLE_SUFFIXES, DEFAULT_DIRECTORY, SUFFIX
from hatch_connect.bundle.bundle import Bundle, read_manifest
from hatch_connect.bundle.manifest import MANIFEST_NAME, metadata_of
from hatch_connect.bundle.patterns import Patterns
from hatch_connect.bundle.repository import git_metadata, same_repository
from hatch_connect.connect.json_reader import readable
from hatch_connect.connect.records import FOLDER, RecordStore, record_path
from hatch_connect.connect.resources import Feature
from hatch_connect.connect.servers import same_server
from hatch_connect.errors import ConfigurationError, ProjectError, StoreError, UsageError
from hatch_connect.events import Warned
from hatch_connect.options import SPECS
from hatch_connect.project.others import of_content, read_deployments
from hatch_connect.project.settings import AS_USUAL
from hatch_connect.project.validators import valid_content_name, validate_title
from hatch_connect.secret import without_credentials
from hatch_connect.ship.find import ContentReference
from hatch_connect.ship.history import PREVIEW

if TYPE_CHECKING:
    from collections.abc import Callable

    from hatch_connect.bundle.manifest import Manifest
    from hatch_connect.commands.call import Call
    from hatch_connect.connect.resources import BundleInfo, ServerSettings
    from hatch_connect.connect.servers import Server
    from hatch_connect.options import Options
    from hatch_connect.project.project import Project, ProjectConfig
    from hatch_connect.project.settings import Verification
    from hatch_connect.ship.find import ContentMatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What one deployment ships: content of the project, or a prepared bundle.

    `config` is the content as the project describes it for the server, None for a prepared bundle
    that is not the project's. `built_from` has no server's table, because the bundle is the same
    for all; it is None for a prepared bundle, which has `path` and `manifest`, and `archive` if it
    needs no packing. `filename` is what the record says. `known_by_name` is False if the name was
    made of a file's, which says nothing of what the content is. `commit` returns git's metadata of
    what the bundle is made from. `preview` is the branch for which it ships as a preview, and
    `named_by` what has led to the content, if that was found before.
    """

    config: ProjectConfig | None
    built_from: ProjectConfig | None = None
    path: Path | None = None
    manifest: Manifest | None = None
    archive: Bundle | None = None
    name: str
    title: str | None
    default_title: str
    filename: str
    records: RecordStore
    known_by_name: bool = True
    commit: Callable[[], dict[str, str]]
    preview: str | None = None
    named_by: str = ""

    @property
    def app_mode(self) -> str:
        """The app mode, as the manifest has it or is going to."""
        if self.manifest:
            return self.manifest.metadata.app_mode
        return self.config.app_mode.name if self.config else ""

    @property
    def has_python(self) -> bool:
        """Whether the server may run Python for it."""
        if self.manifest:
            return self.manifest.python is not None
        return bool(self.config and self.config.app_mode.has_python)

    @property
    def image(self) -> str | None:
        """The image that the bundle names, which is the same for all servers."""
        if self.manifest:
            return self.manifest.environment.image
        return self.built_from.image if self.built_from else None

    def on(self, server: Server) -> Source:
        """Return the same with what the project says of this server."""
        if self.config is None or server.table is None:
            return self
        return replace(self, **_described(self.config.on(server.table)))

    def reference(self, server: Server, call: Call) -> ContentReference:
        """Return what is known of the content: from the call, the record, then the table.

        Records of Posit Publisher come last. One that cannot be understood is reported and ignored.
        """
        known = ContentReference(
            app_id=call.options.app_id,
            named_by=self.named_by or naming_option(call.options),
            new=call.options.new,
            guid=self.config.guid if self.config else None,
            published=self._published(server, call),
            name=self.name if self.known_by_name else None,
        )
        try:
            if found := self.records.find(server.url):
                record, path = found
                named = record.app_guid or record.app_id or None
                known = replace(known, recorded=named, recorded_in=str(path))
            return replace(known, begun=self.records.creating(server.url))
        except StoreError as error:
            call.report(Warned(text=f"{error.message} Ignoring the deployment record."))
        return known

    def _published(self, server: Server, call: Call) -> tuple[tuple[str, str], ...]:
        """Return the content in Posit Publisher's records for this server, each with its file."""
        config, options = self.config, call.options
        if config is None or config.guid or options.app_id or options.new:
            return ()
        try:
            known = read_deployments(config.content_root)
        except ConfigurationError as error:
            call.report(Warned(text=f"{error.message} Ignoring the records of Posit Publisher."))
            return ()
        here = (each for each in known if same_server(each.server_url, server.url))
        alone = len(config.project.contents) == 1
        fitting = of_content(here, self.app_mode, config.entrypoint, alone=alone)
        return tuple((each.guid, each.path) for each in fitting)


def naming_option(options: Options) -> str:
    """Return the option that names the content: in a promotion that may be either end."""
    ends = {"--from": options.from_server, "--to": options.to_server}
    return next((n for n, url in ends.items() if url and url == options.app_id), "--app-id")


def sources_of(call: Call) -> tuple[Source, ...]:
    """Read what the call ships: the bundles that it names, or the project. Raises ProjectError."""
    options = call.options
    if options.title is not None and (wrong := validate_title(options.title)):
        raise UsageError(f"The title {wrong}.")
    if not options.file:
        first, *others = (source_of(call.config(name), call) for name in call.contents())
        # They are of one project: git is asked once for all.
        return (first, *(replace(source, commit=first.commit) for source in others))
    _refuse_build_options(options)
    if len(options.file) > 1 and (options.content or options.title or options.app_id):
        raise UsageError(
            "--content, --title and --app-id take a single bundle, not several: "
            f"{', '.join(options.file)}."
        )
    contents = _contents(call)
    paths = [call.surroundings.directory / file for file in options.file]
    return tuple(_prepared(path, contents, call) for path in paths)


def source_of(config: ProjectConfig, call: Call) -> Source:
    """Return content of the project as what ships."""
    return Source(
        built_from=config,
        filename=str(config.root),
        records=records_of(config.root, config.content, call),
        commit=cache(partial(git_metadata, config.root, call.environ)),
        **_described(config),
    )


def _described(config: ProjectConfig) -> dict[str, Any]:
    """Return the fields of a `Source` that a server's table may change."""
    return {
        "config": config,
        "name": config.content_name,
        "title": config.title,
        "default_title": _title_of(config),
    }


def _prepared(path: Path, contents: tuple[ProjectConfig, ...], call: Call) -> Source:
    if not path.exists():
        raise UsageError(f"{path} does not exist.", hint="Give a bundle, a manifest or its folder.")
    archive = None
    if path.is_file() and path.name != MANIFEST_NAME:
        archive = Bundle.open(path, into=path.parent, report=call.report)
    manifest = archive.manifest if archive else read_manifest(path)
    owner = _owner(path, manifest, contents, call.options)
    folder = path if path.is_dir() else path.parent
    commit = cache(partial(git_metadata, folder, call.environ, tracked=MANIFEST_NAME))
    return replace(
        source_of(owner, call) if owner else _independent(path, manifest, contents, call),
        built_from=None,
        path=path,
        manifest=manifest,
        archive=archive,
        commit=dict if archive else commit,  # an archive may lie anywhere
    )


def _refuse_build_options(options: Options) -> None:
    """Refuse options that shape a bundle, since this bundle exists already."""
    given = [
        spec.flags[0]
        for spec in SPECS.values()
        if spec.group == "build" and spec.key != "list" and getattr(options, spec.key)
    ]
    if given:
        raise UsageError(
            f"{', '.join(given)} cannot be combined with a prepared bundle.",
            hint="Omit the option, or build the bundle again.",
        )


def warn_of_other_repository(
    source: Source, located: ContentMatch, last: BundleInfo | None, call: Call
) -> None:
    """Warn if only the name led to the content, and it was built from another repository."""
    theirs = last and dict(last.metadata).get("source_repo")
    if not (located.by_name and located.content and theirs):
        return
    config = source.config
    # A prepared bundle may lie outside of git: then the project that it belongs to is compared.
    known = source.commit() or (git_metadata(config.root, call.environ) if config else {})
    ours = known.get("source_repo")
    if ours and not same_repository(ours, theirs):
        text = f"Content {located.content.guid} was found by name only, and was last deployed "
        text += f"from {without_credentials(readable(theirs))}; this project is {ours}."
        hint = "If it is not the right content, use --new, or set `content-name` or `guid`."
        call.report(Warned(text=f"{text} {hint}"))


def metadata_of_bundle(
    source: Source, settings: ServerSettings, call: Call
) -> dict[str, str] | None:
    """Return the bundle's metadata: git's, then that of the table, then that of the call.

    An empty value removes a key.
    """
    if call.options.no_metadata:
        return None
    table = source.config.metadata_of_bundle if source.config else ()
    called = dict(given.split("=", 1) for given in call.options.metadata)
    if settings.supports(Feature.BUNDLE_METADATA) is not True:
        sources = {"--metadata": called, "`metadata` in pyproject.toml": table}
        if asked := [named for named, given in sources.items() if given]:
            hidden = "hides its version (set CONNECT_SERVER_VERSION if you know it)"
            known = f"is Connect {settings.version}" if settings.version else hidden
            text = f"Not sent: {' and '.join(asked)}. Bundle metadata requires Connect 2025.12 "
            call.report(Warned(text=f"{text}or later; the server {known}."))
        return None
    if table is None and not called:
        return None
    found = {} if table is None else {**source.commit(), **dict(table)}
    if source.preview:
        found[PREVIEW] = source.preview
    return {key: value for key, value in (found | called).items() if value}


def how_to_verify(config: ProjectConfig | None, options: Options) -> Verification | None:
    """Return how to ask the content whether it answers; None for not asking."""
    if options.no_verify:
        return None
    return config.verify if config else AS_USUAL


def records_of(root: Path, content: str | None, call: Call) -> RecordStore:
    """Return the records of a project's deployments.

    They are kept in the project if its `.gitignore` names their folder, or if there is one already.
    Otherwise the project's sdist would contain the folder, since build back ends read no other
    ignore file than that.
    """
    place = record_path(
        root,
        content,
        environ=call.environ,
        platform=sys.platform,
        in_project=(root / FOLDER).is_dir() or _ignores_records(root / ".gitignore"),
    )
    return RecordStore(place, call.report)


def _ignores_records(file: Path) -> bool:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return Patterns(lines).match(f"{FOLDER}/record.json")


def _title_of(config: ProjectConfig) -> str:
    """Return the title of the file that is shown, if there is one, else that of the content."""
    file = config.app_mode.names_file and config.entrypoint
    title = Path(file).stem if file else ""
    return config.content_name if title in {"", "index"} or validate_title(title) else title


def _owner(
    path: Path, manifest: Manifest, contents: tuple[ProjectConfig, ...], options: Options
) -> ProjectConfig | None:
    """Return the project's content that a prepared bundle is of, or None.

    It is the one that `--content` names. Otherwise the bundle must have the content's mode and
    entrypoint, and its name, or lie in the project's folder for builds.
    """
    if options.content:
        return next(iter(contents), None)
    path = Path(normpath(path))
    like = [config for config in contents if _is_like(manifest, config)]
    named = [config for config in like if _is_named_for(path, config)]
    built = [config for config in like if (config.root / DEFAULT_DIRECTORY) in path.parents]
    # The longest, because `shop-stock-1.0` begins with `shop` too.
    return max(named or built[:1], key=lambda config: len(config.content_name), default=None)


def _contents(call: Call) -> tuple[ProjectConfig, ...]:
    """Return the content that the call may be about; none if there is no project."""
    try:
        every = call.read_project().contents
        return tuple(map(call.config, call.contents() if call.options.content else every))
    except ProjectError:
        return ()


def _is_named_for(path: Path, config: ProjectConfig) -> bool:
    name = path.parent.name if path.name == MANIFEST_NAME else _stem(path)
    return name == config.content_name or name.startswith(f"{config.content_name}-")


def _is_like(manifest: Manifest, config: ProjectConfig) -> bool:
    ours, theirs = metadata_of(config), manifest.metadata
    return (ours.app_mode, ours.entrypoint, ours.primary_html) == (
        theirs.app_mode,
        theirs.entrypoint,
        theirs.primary_html,
    )


def _independent(
    path: Path, manifest: Manifest, contents: tuple[ProjectConfig, ...], call: Call
) -> Source:
    """Return a bundle that is no project's; its title is from its primary file, else its name."""
    metadata, given = manifest.metadata, call.options.title
    primary = metadata.primary_html or metadata.primary_rmd or _file_entrypoint(manifest)
    home = path.parent if path.is_file() else path
    if path.name == MANIFEST_NAME and primary is None:
        primary = home.name
    of_project = _project_name(manifest, path)
    found = _stem(Path(primary)) if primary else of_project
    default_title = given or found or _stem(path)
    name = valid_content_name(default_title)
    # It is not of the project, so what has this name there is something else.
    taken = {config.content_name for config in contents}
    return Source(
        config=None,
        name=name,
        title=given,
        default_title=name if validate_title(default_title) else default_title,
        filename=str(path),
        # The official client names the record of a manifest as if the manifest were a folder.
        records=records_of(path, None, call),
        known_by_name=found is not None and found == of_project and name not in taken,
        commit=dict,
    )


def _project_name(manifest: Manifest, path: Path) -> str | None:
    """Return the file's name without the version, if the bundle's metadata tell them apart."""
    stem = _stem(path)
    for file in manifest.files:
        info, _, rest = file.path.partition("/")
        version = info.removesuffix(".dist-info").rpartition("-")[2]
        if rest == "METADATA" and stem.endswith(f"-{version}"):
            return stem.removesuffix(f"-{version}")
    return None


def _file_entrypoint(manifest: Manifest) -> str | None:
    entrypoint = manifest.metadata.entrypoint
    listed = {file.path for file in manifest.files}
    return entrypoint if entrypoint in listed else None


def _stem(path: Path) -> str:
    ending = next((end for end in BUNDLE_SUFFIXES if path.name.endswith(end)), path.suffix)
    return path.name.removesuffix(ending)


def built_bundles(project: Project) -> tuple[Path, ...]:
    """Return the bundle in dist/connect/ of each piece of content, of the project's version.

    Raises UsageError if one of them does not exist, and names those that do. A `.tar.gz` is
    mentioned and not used: it may be a bundle of an earlier release, or an sdist.
    """
    folder = project.root / DEFAULT_DIRECTORY
    there = sorted(path.name for end in (SUFFIX, ".tar.gz") for path in folder.glob(f"*{end}"))
    contents = map(project.content, project.contents)
    return tuple(folder / _chosen(config, there, folder) for config in contents)


def _chosen(config: ProjectConfig, there: list[str], folder: Path) -> str:
    name = config.content_name
    if config.version is None:
        # Only the build knows the version: any bundle of that name may be the one.
        built = [f for f in there if f.endswith(SUFFIX) and _is_of(f.removesuffix(SUFFIX), name)]
        if len(built) == 1:
            return built[0]
    elif f"{name}-{config.version}{SUFFIX}" in there:
        return f"{name}-{config.version}{SUFFIX}"
    version = f" {config.version}" if config.version else ""
    raise UsageError(
        f"Could not determine the bundle of {name}{version}. In {folder}: "
        f"{', '.join(there) or 'none'}.",
        hint=f"Bundles end in {SUFFIX}. Build it with `hatch build -t connect`, or specify one:"
        " hatch publish -p connect FILE",
    )


def _is_of(stem: str, name: str) -> bool:
    return stem == name or (stem.startswith(f"{name}-") and stem[len(name) + 1].isdigit())
