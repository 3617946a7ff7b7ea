"""What Posit Publisher and the official client left in a project, as values.

Publisher keeps configurations in `.posit/publish/NAME.toml` and records of deployments in
`.posit/publish/deployments/NAME.toml`; the official client keeps `[tool.rsconnect]`, the records
`rsconnect-python/NAME.json`, and the `manifest.json` that it wrote.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from hatch_connect.errors import ConfigurationError, UsageError
from hatch_connect.project.content_kind import APP_MODES, AppMode, EntrypointKind, find_app_mode
from hatch_connect.project.declared import DECLARED
from hatch_connect.project.discovery import express_script
from hatch_connect.project.reading import PYPROJECT, parse_toml, read_bytes
from hatch_connect.project.target import minor_of
from hatch_connect.project.validators import validate_guid
from hatch_connect.typed import table_at, text_at, texts_at, value_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from hatch_connect.project.reading import Toml

_PUBLISHER = ".posit/publish"
_RSCONNECT = "rsconnect-python"
_MANIFEST = "manifest.json"

# Publisher's types that are not the app mode of the same name, or have no Python in them.
_TYPES = {
    "html": "static",
    "jupyter-notebook": "jupyter-static",
    "python-flask": "python-api",
    "quarto": "quarto-static",
}
_SUFFIX = re.compile(r"-[A-Z0-9]{4}$")  # which Publisher adds to a title
_TOO_OLD = ("2.7", "3.5", "3.6", "3.7")  # for `python_version`
_NO_PATTERN = re.compile(r"[^*?\[\]!]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherDeployment:
    """One deployment of another client: to which server, as which content, and who says so."""

    path: str
    server_url: str
    guid: str
    app_mode: str = ""
    entrypoint: str = ""
    python: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherContent:
    """One piece of content as another client knows it.

    `settings` are keys of `[tool.hatch-connect]`, `declared` those of its table `settings`;
    `places` are the files that say so, and `notes` what was not taken over.
    """

    name: str
    places: tuple[str, ...]
    settings: Mapping[str, object]
    declared: Mapping[str, object] = field(default_factory=dict)
    deployed: tuple[OtherDeployment, ...] = ()
    notes: tuple[str, ...] = ()


def read_others(root: Path, pyproject: Toml) -> tuple[OtherContent, ...]:
    """Return what others know of the project's content; nothing if they know none.

    Publisher's files count before the official client's, which may add where it was deployed.
    Raises ConfigurationError for a file that is broken.
    """
    official = _official(root, pyproject)
    found = _published(root)
    if not found:
        return official
    if len(found) == 1 and len(official) == 1 and not found[0].deployed:
        first, other = found[0], official[0]
        places = (*first.places, *(each.path for each in other.deployed))
        return (replace(first, deployed=other.deployed, places=tuple(dict.fromkeys(places))),)
    return found


def read_deployments(root: Path) -> tuple[OtherDeployment, ...]:
    """Return Publisher's records of content that was deployed to a Connect server.

    Raises ConfigurationError for one that is not TOML.
    """
    return tuple(each for _, each in _records(root))


def _records(root: Path) -> Iterator[tuple[Toml, OtherDeployment]]:
    for path, record in _toml_files(root, f"{_PUBLISHER}/deployments"):
        url, guid = text_at(record, "server_url"), text_at(record, "id")
        kind = text_at(record, "server_type") or "connect"
        if not url or not guid or validate_guid(guid) or kind != "connect":
            continue
        mode = _mode(text_at(record, "configuration", "type") or text_at(record, "type"))
        entrypoint = text_at(record, "configuration", "entrypoint") or ""
        yield (
            record,
            OtherDeployment(
                path=path,
                server_url=url,
                guid=guid,
                app_mode=mode.name if mode else "",
                entrypoint=as_entrypoint(entrypoint, mode, root) if mode else entrypoint,
                python=minor_of(text_at(record, "configuration", "python", "version") or ""),
            ),
        )


def _toml_files(root: Path, folder: str) -> Iterator[tuple[str, Toml]]:
    for file in sorted((root / folder).glob("*.toml")):
        if file.is_file():
            yield f"{folder}/{file.name}", parse_toml(read_bytes(file), file)


def _mode(kind: str | None) -> AppMode | None:
    """Return the app mode of a type of Publisher's, or by Connect's name; None if it is not ours.

    Short names would not do: `shiny` and `api` are Connect's names of R content.
    """
    name = _TYPES.get(kind or "", kind)
    return next((mode for mode in APP_MODES if mode.name == name and not mode.prepared), None)


def as_entrypoint(text: str, mode: AppMode, root: Path) -> str:
    """Return an entrypoint of another client as it is written in [tool.hatch-connect]."""
    text = express_script(text) or text.replace("\\", "/").removeprefix("./")
    file, colon, name = text.partition(":")
    if mode.entrypoint is EntrypointKind.OBJECT and file.endswith(".py"):
        package = (root / PYPROJECT).is_file() and b"[build-system]" in read_bytes(root / PYPROJECT)
        module = file.removeprefix("src/" if package else "").removesuffix(".py").replace("/", ".")
        return f"{module}{colon}{name}"
    return text


def _published(root: Path) -> tuple[OtherContent, ...]:
    """Return Publisher's content: its configurations, of the same content only one."""
    records = tuple(_records(root))
    configured = dict(_toml_files(root, _PUBLISHER))
    names = {PurePosixPath(path).stem for path in configured}
    for record, deployment in records:
        # A record holds a copy of what was deployed, in case the configuration is gone.
        if text_at(record, "configuration_name") not in names and "configuration" in record:
            configured[deployment.path] = table_at(record, "configuration")
    found: dict[tuple[object, ...], OtherContent] = {}
    for path, table in configured.items():
        own = tuple(
            deployment
            for record, deployment in records
            if text_at(record, "configuration_name") == PurePosixPath(path).stem
            or deployment.path == path
        )
        if (content := _configured(path, table, root, own)) is None:
            continue
        key = content.settings["app-mode"], content.settings.get("entrypoint")
        known = found.get(key)
        if known and _servers(known).isdisjoint(_servers(content)):
            note = f"{path} describes the same content, and was not taken over."
            found[key] = replace(
                known,
                places=(*known.places, *(each.path for each in own)),
                deployed=(*known.deployed, *own),
                notes=(*known.notes, note),
            )
        else:
            found[(*key, path) if known else key] = content
    return tuple(found.values())


def _servers(content: OtherContent) -> set[str]:
    return {each.server_url for each in content.deployed}


def _configured(
    path: str, table: Toml, root: Path, deployed: tuple[OtherDeployment, ...]
) -> OtherContent | None:
    """Return the content that a configuration describes; None for what is not ours."""
    mode = _mode(text_at(table, "type"))
    if mode is None or text_at(table, "product_type") not in {None, "connect"}:
        return None
    notes: list[str] = []
    settings: dict[str, object] = {"app-mode": mode.name}
    if entrypoint := text_at(table, "entrypoint"):
        settings["entrypoint"] = as_entrypoint(entrypoint, mode, root)
    if title := text_at(table, "title"):
        settings["title"] = title
    settings |= _python(table_at(table, "python"), mode, root, notes)
    if value_at(table, "validate") is False:
        settings["verify"] = False
    settings |= {
        f"hide-{each}-input": True
        for each in ("all", "tagged")
        if mode.is_notebook and value_at(table, "jupyter", f"hide_{each}_input") is True
    }
    values = (f"{k}={v}" for k, v in table_at(table, "environment").items() if isinstance(v, str))
    if env := [*texts_at(table, "secrets"), *values]:
        settings["env"] = env
    settings |= _files(texts_at(table, "files"), str(settings.get("entrypoint")), root, notes)
    notes += [f"`{key}` was not taken over." for key in _NOT_OURS if key in table]
    return OtherContent(
        name=_SUFFIX.sub("", PurePosixPath(path).stem),
        places=tuple(dict.fromkeys((path, *(each.path for each in deployed)))),
        settings=settings,
        declared=_declared(table, mode, notes),
        deployed=deployed,
        notes=tuple(f"{path}: {note}" for note in notes),
    )


_NOT_OURS = ("r", "integration_requests", "has_parameters", "source")


def _python(python: Toml, mode: AppMode, root: Path, notes: list[str]) -> dict[str, object]:
    if not mode.has_python:
        return {}
    settings: dict[str, object] = {}
    if version := text_at(python, "version"):
        minor = minor_of(version)
        if minor in _TOO_OLD:
            notes.append(f"Python {version} is too old, and was not taken over.")
        else:
            settings["python-version"] = minor
    elif requires := text_at(python, "requires_python"):
        settings["python-version"] = requires
    file = text_at(python, "package_file")
    if file and file != "requirements.txt" and (root / file).is_file():
        settings["requirements-file" if file.endswith(".txt") else "lock"] = file
    match text_at(python, "package_manager"):
        case "uv":
            settings["package-installer"] = "uv"
        case "none":
            settings["environment-management"] = False
    return settings


def _files(
    patterns: tuple[str, ...], entrypoint: str, root: Path, notes: list[str]
) -> dict[str, object]:
    """Take over what is left out, and data that is named; the build selects everything else."""
    exclude = [each.removeprefix("!") for each in patterns if each.startswith("!")]
    named = [each for each in patterns if _NO_PATTERN.fullmatch(each) and _is_data(root, each)]
    include = [each for each in named if each.strip("/") != entrypoint]
    if any(each.strip("/") not in {"", "*", "**"} and each not in named for each in patterns):
        notes.append(
            "`files` was not taken over as a whole, because the build says what ships."
            " `hatch-connect bundle --list` shows it."
        )
    return {k: v for k, v in (("include", include), ("exclude", exclude)) if v}


def _is_data(root: Path, pattern: str) -> bool:
    path = pattern.strip("/")
    code = path.endswith((".py", ".toml", ".lock")) or "requirements" in path
    return not code and not path.startswith(".") and (root / path).is_file()


def _declared(table: Toml, mode: AppMode, notes: list[str]) -> dict[str, object]:
    fields = {"description": table.get("description")} if table.get("description") else {}
    for part in ("runtime", "kubernetes", "access"):
        fields |= table_at(table, "connect", part)
    known = {one.name: key for key, one in DECLARED.items() if one.name}
    declared = {}
    for name, value in fields.items():
        key = known.get(name)
        if key and DECLARED[key].applies_to(mode.name):
            declared[key] = value
        else:
            notes.append(f"`{name}` was not taken over.")
    return declared


def _official(root: Path, pyproject: Toml) -> tuple[OtherContent, ...]:
    """Return the official client's content: of several records, one each."""
    recorded = tuple(_recorded(root))
    described = [*_of_table(root, pyproject), *recorded[:1], *_of_manifest(root)]
    if len({content.deployed for content in recorded}) > 1:
        return recorded
    if not described:
        return ()
    merged = described[0]
    for content in described[1:]:
        if content.settings["app-mode"] != merged.settings["app-mode"] and not content.deployed:
            continue  # a manifest of something else
        merged = replace(
            merged,
            places=(*merged.places, *content.places),
            settings={**content.settings, **merged.settings},
            notes=(*merged.notes, *content.notes),
            deployed=merged.deployed or content.deployed,
        )
    return (merged,)


def _of_table(root: Path, pyproject: Toml) -> Iterator[OtherContent]:
    table = table_at(pyproject, "tool", "rsconnect")
    try:
        mode = find_app_mode(text_at(table, "app_mode") or "")
    except UsageError:
        return
    settings: dict[str, object] = {"app-mode": mode.name}
    for key in ("entrypoint", "title", "requirements_file"):
        if text := text_at(table, key):
            settings[key.replace("_", "-")] = text
    if "entrypoint" in settings:
        settings["entrypoint"] = as_entrypoint(str(settings["entrypoint"]), mode, root)
    yield OtherContent(name="main", places=(f"{PYPROJECT} [tool.rsconnect]",), settings=settings)


def _recorded(root: Path) -> Iterator[OtherContent]:
    for file in sorted((root / _RSCONNECT).glob("*.json")):
        entries = [each for each in _json(file).values() if _names_content(each)]
        mode = _mode(next((text_at(each, "app_mode") for each in entries), None))
        if mode is None:
            continue
        path = f"{_RSCONNECT}/{file.name}"
        settings: dict[str, object] = {"app-mode": mode.name}
        if title := next(filter(None, (text_at(each, "title") for each in entries)), None):
            settings["title"] = title
        shown = PurePosixPath((text_at(entries[0], "filename") or "").replace("\\", "/")).name
        if mode.names_file and shown.endswith((".ipynb", ".qmd", ".html")):
            settings |= {"entrypoint": shown} if (root / shown).is_file() else {}
        deployed = (
            OtherDeployment(
                path=path,
                server_url=text_at(each, "server_url") or "",
                guid=text_at(each, "app_guid") or "",
                app_mode=mode.name,
            )
            for each in entries
        )
        yield OtherContent(
            name=file.stem,
            places=(path,),
            settings=settings,
            deployed=tuple(each for each in deployed if each.server_url),
        )


def _names_content(entry: object) -> bool:
    guid = text_at(entry, "app_guid")
    return guid is not None and not validate_guid(guid)


def _of_manifest(root: Path) -> Iterator[OtherContent]:
    manifest = _json(root / _MANIFEST) if (root / _MANIFEST).is_file() else {}
    metadata = table_at(manifest, "metadata")
    mode = _mode(text_at(metadata, "appmode"))
    if mode is None:
        return
    settings: dict[str, object] = {"app-mode": mode.name}
    keys = ("entrypoint", "primary_html", "primary_rmd")
    entrypoint = next(filter(None, (text_at(metadata, key) for key in keys)), None)
    if mode.entrypoint is EntrypointKind.NOTEBOOKS and text_at(metadata, "entrypoint") == "":
        entrypoint = "."  # all notebooks of the folder
    if entrypoint and not (mode.is_html and not entrypoint.endswith((".html", ".htm"))):
        settings["entrypoint"] = as_entrypoint(entrypoint, mode, root)
    notes: list[str] = []
    settings |= _python({"version": text_at(manifest, "python", "version")}, mode, root, notes)
    yield OtherContent(
        name="main",
        places=(_MANIFEST,),
        settings=settings,
        notes=tuple(f"{_MANIFEST}: {note}" for note in notes),
    )


def _json(file: Path) -> dict[str, object]:
    try:
        read = json.loads(read_bytes(file))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError((f"This is not valid JSON: {error}.",), where=str(file)) from None
    return read if isinstance(read, dict) else {}


def of_content(
    deployments: Iterable[OtherDeployment], mode: str, entrypoint: str | None, *, alone: bool
) -> tuple[OtherDeployment, ...]:
    """Return the deployments that may be of content of this mode and entrypoint.

    If the content is not `alone` in its project, or is not the only one deployed, the entrypoint
    must be the same.
    """
    fitting = [each for each in deployments if each.app_mode in {"", mode}]
    if alone and len({each.guid for each in fitting}) <= 1:
        return tuple(fitting)
    same = tuple(e for e in fitting if _same_module(e.entrypoint, entrypoint or ""))
    return same if same or not alone else tuple(fitting)


def _same_module(one: str, other: str) -> bool:
    modules = (express_script(text) or text.partition(":")[0] for text in (one, other))
    return len({module.removesuffix(".py").replace("/", ".") for module in modules}) == 1
