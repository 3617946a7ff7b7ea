"""The parts of a manifest, each with the JSON object that it is read from and written to.

What was not said is None and is not written; an error names the path of the key that is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from hatch_connect.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE_FILE = "requirements.txt"
PIP_VERSION = "25.0"

T = TypeVar("T")
_WORDS = {str: "a string", bool: "true or false", dict: "an object", list: "an array"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What the content is; `app_mode` as Connect spells it."""

    app_mode: str
    entrypoint: str | None = None
    primary_html: str | None = None
    primary_rmd: str | None = None
    has_parameters: bool | None = None
    content_category: str | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Metadata:
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
        """Give the JSON object, without what was not said."""
        return without_none(
            appmode=self.app_mode,
            primary_html=self.primary_html,
            primary_rmd=self.primary_rmd,
            has_parameters=self.has_parameters,
            entrypoint=self.entrypoint,
            content_category=self.content_category,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """Which Python, and what installs the packages named in `package_file` (a path in the bundle).

    `allow_uv` is None where no installer was chosen: the server decides.
    """

    version: str
    package_file: str = PACKAGE_FILE
    manager: str = "pip"
    manager_version: str = PIP_VERSION
    allow_uv: bool | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Python:
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
        """Give the JSON object, without what was not said."""
        manager = without_none(
            name=self.manager,
            version=self.manager_version,
            package_file=self.package_file,
            allow_uv=self.allow_uv,
        )
        return {"version": self.version, "package_manager": manager}


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the content's environment must be; an empty one is not written.

    `python_requires` is a PEP 440 specifier (honoured from server 2025.03); `manage_python` and
    `manage_r` say whether the server installs the packages.
    """

    python_requires: str | None = None
    image: str | None = None
    manage_python: bool | None = None
    manage_r: bool | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Environment:
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
        """Give the JSON object, without what was not said."""
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
        """Give the JSON object: only what is true."""
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
        """Give the JSON object."""
        return {"version": self.version, "engines": list(self.engines)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """A file of the bundle: its POSIX path and the MD5 of its bytes (hex), "" if none is told."""

    path: str
    checksum: str


def without_none(**items: object) -> dict[str, object]:
    """Keep what is not None."""
    return {name: value for name, value in items.items() if value is not None}


def get(data: Mapping[str, object], key: str, kind: type[T], where: str = "") -> T | None:
    """Read `key`, None where it is missing or null; `where` is the path of `data`."""
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
