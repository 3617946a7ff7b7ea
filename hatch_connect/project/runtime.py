"""What runs the content on the server: image, environment management, package installer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.project import rules
from hatch_connect.project.settings import type_of

if TYPE_CHECKING:
    from hatch_connect.project.app_mode import AppMode
    from hatch_connect.project.settings import Settings

_MANAGEMENT = "environment-management"
_LANGUAGES = ("python", "r")
_OF_PACKAGES = (_MANAGEMENT, "package-installer")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentManagement:
    """Whether the server installs the packages of each language; None: as the server decides."""

    python: bool | None = None
    r: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What was asked for; None where the server decides."""

    image: str | None = None
    management: EnvironmentManagement | None = None
    package_installer: str | None = None


def read_runtime(settings: Settings, own: Settings, mode: AppMode | None) -> Runtime:
    """Read it; for content without an environment of its own, being asked is a problem.

    What is only inherited (`own` settings are not) does not count there.
    """
    if mode is not None:
        refused = dict(_refused(mode))
        settings.problems.extend(
            f"{own.called(key)} has no meaning for {mode.title} content, {reason}."
            for key, reason in refused.items()
            if own.found(key)
        )
        settings = settings.without(frozenset(refused))
    return Runtime(
        image=settings.text("image"),
        management=_management(settings),
        package_installer=settings.text("package-installer", rules.choice("pip", "uv")),
    )


def runtime_keys(mode: AppMode) -> tuple[str, ...]:
    """Return the keys that have no effect if no packages of Python are installed."""
    return tuple(dict.fromkeys((*(key for key, _ in _refused(mode)), *_OF_PACKAGES)))


def _refused(mode: AppMode) -> tuple[tuple[str, str], ...]:
    if mode.has_python:
        return ()
    reason = "which has no environment: the server hands out its files as they are"
    if mode.name == "static":
        return tuple((key, reason) for key in ("image", _MANAGEMENT, "package-installer"))
    reason = "for which the server installs no packages"
    return tuple((key, reason) for key in (_MANAGEMENT, "package-installer"))


def _management(settings: Settings) -> EnvironmentManagement | None:
    """Read a boolean, or a table of booleans, by language; the strongest layer's counts."""
    said: dict[str, bool] = {}
    for layer in reversed(settings.layers):
        value = layer.table.get(_MANAGEMENT)
        called = layer.called(_MANAGEMENT)
        if isinstance(value, bool):
            said |= dict.fromkeys(_LANGUAGES, value)
        elif isinstance(value, dict):
            said |= _by_language(value, called, settings.problems)
        elif value is not None:
            settings.problems.append(
                f"{called} must be true, false or a table of `python` and `r`, not"
                f" {type_of(value)}."
            )
    return EnvironmentManagement(python=said.get("python"), r=said.get("r")) if said else None


def _by_language(table: dict[str, object], called: str, problems: list[str]) -> dict[str, bool]:
    read = {}
    for language, value in table.items():
        if language not in _LANGUAGES:
            problems.append(f"{called} knows `python` and `r`, not `{language}`.")
        elif isinstance(value, bool):
            read[language] = value
        else:
            problems.append(f"{called}: `{language}` must be true or false, not {type_of(value)}.")
    return read
