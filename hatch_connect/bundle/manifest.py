"""`manifest.json`: what Posit Connect reads to learn what a bundle is.

The keys are in the official client's order. A bundle is identified by the digest of the canonical
form, which is independent of any order. A field that is None is not written; an error names the
path of the key that is wrong.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from hatch_connect.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hatch_connect.project.project import ProjectConfig

PACKAGE_FILE = "requirements.txt"
PIP_VERSION = "25.0"

T = TypeVar("T")
_WORDS = {str: "a string", bool: "true or false", dict: "an object", list: "an array"}

MANIFEST_NAME = "manifest.json"
# A manifest names the locale of its author's machine; ours is constant, for reproducible bundles.
LOCALE = "en_US.UTF-8"

_KEYS = frozenset(
    {"version", "locale", "metadata", "jupyter", "quarto", "python", "environment", "files"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestMetadata:
    """What the content is; `app_mode` as Connect spells it."""

    app_mode: str
    entrypoint: str | None = None
    primary_html: str | None = None
    primary_rmd: str | None = None
    has_parameters: bool | None = None
    content_category: str | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> ManifestMetadata:
        """Read `metadata`; keys that are not known are not looked at."""
        where = "metadata"
        return cls(
            app_mode=need(data, "appmode", str, where),
            entrypoint=get(data, "entrypoint", str, where),
            primary_html=get(data, "primary_html", str, where),
            primary_rmd=get(data, "primary_rmd", str, where),
            has_parameters=get(data, "has_parameters", bool, where),
            content_category=get(data, "content_category", str, where),
        )

    def to_dict(self) -> dict[str, object]:
        """Return the JSON object, without what was not said."""
        return without_none(
            appmode=self.app_mode,
            primary_html=self.primary_html,
            primary_rmd=self.primary_rmd,
            has_parameters=self.has_parameters,
            entrypoint=self.entrypoint,
            content_category=self.content_category,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestPython:
    """Which Python, and what installs the packages named in `package_file` (a path in the bundle).

    `allow_uv` is None if no installer was chosen: the server decides.
    """

    version: str
    package_file: str = PACKAGE_FILE
    manager: str = "pip"
    manager_version: str = PIP_VERSION
    allow_uv: bool | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> ManifestPython:
        """Read `python`."""
        manager = get(data, "package_manager", dict, "python") or {}
        where = "python.package_manager"
        return cls(
            version=need(data, "version", str, "python"),
            package_file=get(manager, "package_file", str, where) or PACKAGE_FILE,
            manager=get(manager, "name", str, where) or "pip",
            manager_version=get(manager, "version", str, where) or "",
            allow_uv=get(manager, "allow_uv", bool, where),
        )

    def to_dict(self) -> dict[str, object]:
        """Return the JSON object, without what was not said."""
        manager = without_none(
            name=self.manager,
            version=self.manager_version,
            package_file=self.package_file,
            allow_uv=self.allow_uv,
        )
        return {"version": self.version, "package_manager": manager}


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestEnvironment:
    """What the content's environment must be; an empty one is not written.

    `python_requires` is a PEP 440 specifier (honoured from server 2025.03); `manage_python` and
    `manage_r` say whether the server installs the packages.
    """

    python_requires: str | None = None
    image: str | None = None
    manage_python: bool | None = None
    manage_r: bool | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> ManifestEnvironment:
        """Read `environment`."""
        python = get(data, "python", dict, "environment") or {}
        management = get(data, "environment_management", dict, "environment") or {}
        where = "environment.environment_management"
        return cls(
            python_requires=get(python, "requires", str, "environment.python"),
            image=get(data, "image", str, "environment"),
            manage_python=get(management, "python", bool, where),
            manage_r=get(management, "r", bool, where),
        )

    def to_dict(self) -> dict[str, object]:
        """Return the JSON object, without what was not said."""
        return without_none(
            python=without_none(requires=self.python_requires) or None,
            image=self.image,
            environment_management=without_none(python=self.manage_python, r=self.manage_r) or None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Jupyter:
    """What of a notebook's input is hidden."""

    hide_all_input: bool = False
    hide_tagged_input: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Jupyter:
        """Read `jupyter`."""
        return cls(
            hide_all_input=bool(get(data, "hide_all_input", bool, "jupyter")),
            hide_tagged_input=bool(get(data, "hide_tagged_input", bool, "jupyter")),
        )

    def to_dict(self) -> dict[str, object]:
        """Return the JSON object: only what is true."""
        return without_none(
            hide_all_input=self.hide_all_input or None,
            hide_tagged_input=self.hide_tagged_input or None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarto:
    """What `quarto inspect` said."""

    version: str
    engines: tuple[str, ...]

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Quarto:
        """Read `quarto`."""
        engines = get(data, "engines", list, "quarto") or []
        return cls(
            version=get(data, "version", str, "quarto") or "",
            engines=tuple(str(engine) for engine in engines),
        )

    def to_dict(self) -> dict[str, object]:
        """Return the JSON object."""
        return {"version": self.version, "engines": list(self.engines)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """A file of the bundle: its POSIX path and the MD5 of its bytes (hex), or ""."""

    path: str
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest of version 1.

    `unread` holds what other clients write and this one only passes on (the packages of R, keys
    of later servers): `(name, JSON text)`.
    """

    metadata: ManifestMetadata
    locale: str | None = LOCALE
    jupyter: Jupyter = field(default_factory=Jupyter)
    quarto: Quarto | None = None
    python: ManifestPython | None = None
    environment: ManifestEnvironment = field(default_factory=ManifestEnvironment)
    unread: tuple[tuple[str, str], ...] = ()
    files: tuple[ListedFile, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Manifest:
        """Read a manifest; a BundleError names the key that is wrong.

        What official clients left out at some time may be missing.
        """
        if (version := data.get("version", 1)) != 1:
            message = f"manifest.json: `version` must be 1, not {json.dumps(version)}."
            raise BundleError(message)
        quarto = get(data, "quarto", dict)
        python = get(data, "python", dict)
        return cls(
            metadata=ManifestMetadata.from_dict(need(data, "metadata", dict)),
            locale=get(data, "locale", str),
            jupyter=Jupyter.from_dict(get(data, "jupyter", dict) or {}),
            quarto=None if quarto is None else Quarto.from_dict(quarto),
            python=None if python is None else ManifestPython.from_dict(python),
            environment=ManifestEnvironment.from_dict(get(data, "environment", dict) or {}),
            unread=tuple((k, json.dumps(v)) for k, v in data.items() if k not in _KEYS),
            files=_listed_files(get(data, "files", dict) or {}),
        )

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Read the bytes of a `manifest.json`."""
        return cls.from_dict(parse(text))

    def with_files(self, files: Iterable[ListedFile]) -> Manifest:
        """Return the same manifest for these files."""
        return replace(self, files=tuple(files))

    def to_dict(self) -> dict[str, object]:
        """Return the JSON object, its keys in the official client's order.

        The package file comes first among the files, as it does there.
        """
        package_file = self.python.package_file if self.python else None
        files = sorted(self.files, key=lambda file: (file.path != package_file, file.path))
        rest = {name: json.loads(text) for name, text in self.unread}
        return {
            **without_none(
                version=1,
                locale=self.locale,
                metadata=self.metadata.to_dict(),
                jupyter=self.jupyter.to_dict() or None,
                quarto=self.quarto.to_dict() if self.quarto else None,
                python=self.python.to_dict() if self.python else None,
                environment=self.environment.to_dict() or None,
            ),
            **rest,
            "files": {file.path: {"checksum": file.checksum} for file in files},
        }

    def to_json(self) -> bytes:
        """Return the bytes of the file: indent 2, ASCII only, no final newline."""
        return json.dumps(self.to_dict(), indent=2).encode()

    @property
    def digest(self) -> str:
        """The SHA-256 (hex) of the canonical form: keys sorted, no white space."""
        return _digest(self.to_dict())


def without_none(**items: object) -> dict[str, object]:
    """Keep what is not None."""
    return {name: value for name, value in items.items() if value is not None}


def get(data: Mapping[str, object], key: str, kind: type[T], where: str = "") -> T | None:
    """Read `key`, None if it is missing or null; `where` is the path of `data`."""
    value = data.get(key)
    if value is None:
        return None
    if not isinstance(value, kind):
        path = f"{where}.{key}" if where else key
        raise BundleError(f"manifest.json: `{path}` must be {_WORDS[kind]}, not {value!r:.60}.")
    return value


def need(data: Mapping[str, object], key: str, kind: type[T], where: str = "") -> T:
    """Read `key`, which must be there."""
    value = get(data, key, kind, where)
    if value is None:
        raise BundleError(f"manifest.json: `{f'{where}.{key}' if where else key}` is missing.")
    return value


def digest_of(text: bytes, checksums: Mapping[str, str]) -> str:
    """Return the digest of a manifest's bytes with these files in place of the listed ones."""
    return _digest({**parse(text), "files": {p: {"checksum": c} for p, c in checksums.items()}})


def _digest(data: Mapping[str, object]) -> str:
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def parse(text: bytes) -> dict[str, object]:
    """Read the JSON object of a manifest."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"manifest.json is not JSON: {error}.") from error
    if not isinstance(data, dict):
        raise BundleError("manifest.json must hold a JSON object.")
    return data


def _listed_files(data: Mapping[str, object]) -> tuple[ListedFile, ...]:
    files = []
    for path, entry in data.items():
        where = f"files[{json.dumps(path)}]"
        if not isinstance(entry, dict | None):
            raise BundleError(f"manifest.json: `{where}` must be an object.")
        checksum = get(entry or {}, "checksum", str, where) or ""
        files.append(ListedFile(path=path, checksum=checksum.lower()))
    return tuple(files)


def metadata_of(config: ProjectConfig, category: str | None = None) -> ManifestMetadata:
    """Return `metadata` of the manifest.

    Like the official client, it names an HTML entrypoint under two keys, but the HTML of a
    rendered notebook under one.
    """
    mode = config.app_mode.name
    if config.rendered:
        return ManifestMetadata(app_mode=mode, primary_html=config.entrypoint)
    if config.app_mode.is_quarto:
        return ManifestMetadata(app_mode=mode, content_category=category)
    return ManifestMetadata(
        app_mode=mode,
        entrypoint=config.entrypoint,
        primary_html=config.entrypoint if config.app_mode.is_html else None,
    )
