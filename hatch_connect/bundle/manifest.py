"""`manifest.json`: what Posit Connect reads to learn what a bundle is.

The keys are in the official client's order. A bundle is identified by the digest of the canonical
form, which is independent of any order. A field that is None is not written; an error names the
path of the key that is wrong.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields, replace
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from hatch_connect.errors import BundleError
from hatch_connect.typed import optional

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hatch_connect.project.project import ProjectConfig

PACKAGE_FILE = "requirements.txt"
PIP_VERSION = "25.0"

T = TypeVar("T")
_WORDS = {str: "a string", bool: "true or false", dict: "an object", list: "an array"}

MANIFEST_NAME = "manifest.json"
# A manifest names the locale of its author's machine; ours is constant, for reproducible bundles.
LOCALE = "en_US.UTF-8"

# What is around the names and checksums of files. With `indent`, json takes ten times as long.
_INDENTED = ("{\n    ", ': {\n      "checksum": ', "\n    },\n    ", "\n    }\n  }")
_CANONICAL = ("{", ':{"checksum":', "},", "}}")
_AT_ONCE = 1000

_KEYS = frozenset(
    {"version", "locale", "metadata", "jupyter", "quarto", "python", "environment", "files"}
)


def _at(path: str, kind: type = str, **more: object) -> dict[str, object]:
    """Return where a field lies in the JSON object of its part, and the type that it has there.

    With `needed` it must be there; `absent` stands for what is missing or empty.
    """
    return {"path": path, "kind": kind, **more}


class _Part:
    """An object in the manifest, whose keys are in the order of its fields."""

    __slots__ = ()
    WHERE: ClassVar[str]

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Self:
        """Read the JSON object; keys that are not known are not looked at."""
        values = {}
        for name, about in _fields(cls):
            *above, key = about["path"].split(".")
            table, where = data, cls.WHERE
            for each in above:
                table = _get(table, each, dict, where) or {}
                where = f"{where}.{each}"
            value = (_need if "needed" in about else _get)(table, key, about["kind"], where)
            value = value or about.get("absent", value)
            values[name] = tuple(map(str, value)) if about["kind"] is list else value
        return cls(**values)

    def to_dict(self) -> dict[str, object]:
        """Return the JSON object, without what was not said."""
        found: dict[str, Any] = {}
        for name, about in _fields(type(self)):
            value = getattr(self, name)
            if value is None or (value is False and about.get("absent") is False):
                continue
            *above, key = about["path"].split(".")
            table = found
            for each in above:
                table = table.setdefault(each, {})
            table[key] = list(value) if isinstance(value, tuple) else value
        return found


def _fields(part: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:  # noqa: ANN401 - any dataclass
    return ((each.name, each.metadata) for each in fields(part))


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestMetadata(_Part):
    """What the content is; `app_mode` as Connect spells it."""

    WHERE = "metadata"

    app_mode: str = field(metadata=_at("appmode", needed=True))
    primary_html: str | None = field(default=None, metadata=_at("primary_html"))
    primary_rmd: str | None = field(default=None, metadata=_at("primary_rmd"))
    has_parameters: bool | None = field(default=None, metadata=_at("has_parameters", bool))
    entrypoint: str | None = field(default=None, metadata=_at("entrypoint"))
    content_category: str | None = field(default=None, metadata=_at("content_category"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestPython(_Part):
    """Which Python, and what installs the packages named in `package_file` (a path in the bundle).

    `allow_uv` is None if no installer was chosen: the server decides.
    """

    WHERE = "python"

    version: str = field(metadata=_at("version", needed=True))
    manager: str = field(default="pip", metadata=_at("package_manager.name", absent="pip"))
    manager_version: str = field(
        default=PIP_VERSION, metadata=_at("package_manager.version", absent="")
    )
    package_file: str = field(
        default=PACKAGE_FILE, metadata=_at("package_manager.package_file", absent=PACKAGE_FILE)
    )
    allow_uv: bool | None = field(default=None, metadata=_at("package_manager.allow_uv", bool))


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestEnvironment(_Part):
    """What the content's environment must be; an empty one is not written.

    `python_requires` is a PEP 440 specifier (honoured from server 2025.03); `manage_python` and
    `manage_r` say whether the server installs the packages.
    """

    WHERE = "environment"

    python_requires: str | None = field(default=None, metadata=_at("python.requires"))
    image: str | None = field(default=None, metadata=_at("image"))
    manage_python: bool | None = field(
        default=None, metadata=_at("environment_management.python", bool)
    )
    manage_r: bool | None = field(default=None, metadata=_at("environment_management.r", bool))


@dataclass(frozen=True, slots=True, kw_only=True)
class Jupyter(_Part):
    """What of a notebook's input is hidden; only what is true is written."""

    WHERE = "jupyter"

    hide_all_input: bool = field(default=False, metadata=_at("hide_all_input", bool, absent=False))
    hide_tagged_input: bool = field(
        default=False, metadata=_at("hide_tagged_input", bool, absent=False)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarto(_Part):
    """What `quarto inspect` said."""

    WHERE = "quarto"

    version: str = field(metadata=_at("version", absent=""))
    engines: tuple[str, ...] = field(metadata=_at("engines", list, absent=()))


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
        quarto = _get(data, "quarto", dict)
        python = _get(data, "python", dict)
        return cls(
            metadata=ManifestMetadata.from_dict(_need(data, "metadata", dict)),
            locale=_get(data, "locale", str),
            jupyter=Jupyter.from_dict(_get(data, "jupyter", dict) or {}),
            quarto=None if quarto is None else Quarto.from_dict(quarto),
            python=None if python is None else ManifestPython.from_dict(python),
            environment=ManifestEnvironment.from_dict(_get(data, "environment", dict) or {}),
            unread=tuple((k, json.dumps(v)) for k, v in data.items() if k not in _KEYS),
            files=_listed_files(_get(data, "files", dict) or {}),
        )

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Read the bytes of a `manifest.json`."""
        return cls.from_dict(parse(text))

    def with_files(self, files: Iterable[ListedFile]) -> Manifest:
        """Return the same manifest for these files, in the order in which they are written."""
        package_file = self.python.package_file if self.python else None
        ordered = sorted(files, key=lambda file: (file.path != package_file, file.path))
        return replace(self, files=tuple(ordered))

    def to_dict(self) -> dict[str, object]:
        """Return the JSON object, its keys in the official client's order.

        The package file comes first among the files, as it does there.
        """
        files = self.with_files(self.files).files
        listed = {file.path: {"checksum": file.checksum} for file in files}
        return {**self._without_files(), "files": listed}

    def _without_files(self) -> dict[str, object]:
        rest = {name: json.loads(text) for name, text in self.unread}
        parts = {
            "version": 1,
            "locale": self.locale,
            "metadata": self.metadata.to_dict(),
            "jupyter": self.jupyter.to_dict() or None,
            "quarto": self.quarto.to_dict() if self.quarto else None,
            "python": self.python.to_dict() if self.python else None,
            "environment": self.environment.to_dict() or None,
        }
        said = {name: value for name, value in parts.items() if value is not None}
        return {**said, **rest}

    def to_json(self) -> bytes:
        """Return the bytes of the file: indent 2, ASCII only, no final newline."""
        head = json.dumps(self._without_files(), indent=2).removesuffix("\n}")
        text = BytesIO()  # whose value is no copy
        text.write(f'{head},\n  "files": '.encode())
        files = self.with_files(self.files).files
        text.writelines(_pieces(((file.path, file.checksum) for file in files), _INDENTED))
        text.write(b"\n}")
        return text.getvalue()

    @property
    def digest(self) -> str:
        """The SHA-256 (hex) of the canonical form: keys sorted, no white space."""
        files = sorted(self.files, key=lambda file: file.path)
        return _digest(self._without_files(), ((file.path, file.checksum) for file in files))


def _get(data: Mapping[str, object], key: str, kind: type[T], where: str = "") -> T | None:
    """Read `key`, None if it is missing or null; `where` is the path of `data`."""
    path = f"{where}.{key}" if where else key

    def wrong(value: object) -> BundleError:
        words = f"must be {_WORDS[kind]}, not {value!r:.60}"
        return BundleError(f"manifest.json: `{path}` {words}.")

    return optional(data, key, kind, wrong)


def _need(data: Mapping[str, object], key: str, kind: type[T], where: str = "") -> T:
    """Read `key`, which must be there."""
    value = _get(data, key, kind, where)
    if value is None:
        raise BundleError(f"manifest.json: `{f'{where}.{key}' if where else key}` is missing.")
    return value


def digest_of(text: bytes, checksums: Mapping[str, str]) -> str:
    """Return the digest of a manifest's bytes with these files in place of the listed ones."""
    rest = {key: value for key, value in parse(text).items() if key != "files"}
    return _digest(rest, ((path, checksums[path]) for path in sorted(checksums)))


def _digest(rest: Mapping[str, object], files: Iterable[tuple[str, str]]) -> str:
    digest, before = hashlib.sha256(), "{"
    for key in sorted((*rest, "files")):
        digest.update(f"{before}{json.dumps(key)}:".encode())
        before = ","
        if key == "files":
            for piece in _pieces(files, _CANONICAL):
                digest.update(piece)
        else:
            text = json.dumps(rest[key], sort_keys=True, separators=(",", ":"))
            digest.update(text.encode())
    digest.update(b"}")
    return digest.hexdigest()


def _pieces(files: Iterable[tuple[str, str]], form: tuple[str, str, str, str]) -> Iterator[bytes]:
    """Yield the JSON object of the files, of which there may be very many, in pieces."""
    begin, key, between, end = form
    before, files = begin, iter(files)
    while some := dict(islice(files, _AT_ONCE)):
        yield (before + json.dumps(some, separators=(between, key))[1:-1]).encode()
        before = between
    yield b"{}" if before == begin else end.encode()


def parse(text: bytes) -> dict[str, object]:
    """Read the JSON object of a manifest."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"manifest.json is not valid JSON: {error}.") from error
    if not isinstance(data, dict):
        raise BundleError("manifest.json must hold a JSON object.")
    return data


def _listed_files(data: Mapping[str, object]) -> tuple[ListedFile, ...]:
    files = []
    for path, entry in data.items():
        checksum = entry.get("checksum") if isinstance(entry, dict) else None
        if not isinstance(checksum, str):
            where = f"files[{json.dumps(path)}]"
            if not isinstance(entry, dict | None):
                raise BundleError(f"manifest.json: `{where}` must be an object.")
            checksum = _get(entry or {}, "checksum", str, where) or ""
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
