"""Where a project is built: in this process, through Hatch, or in an environment of its own."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from hatch_connect.bundle.companions import entry_files
from hatch_connect.errors import BundleError
from hatch_connect.programs import own_url
from hatch_connect.project.metadata import parse_requirement
from hatch_connect.typed import table_at, texts_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hatch_connect.project.project import ProjectConfig

OWN_NAME = "hatch-connect"
_HATCHLING = "hatchling.build"
_AT_HAND = frozenset({"hatchling", OWN_NAME})
_OUR_HOOKS = frozenset({"version", "connect"})
_OUR_SOURCES = frozenset({"regex", "env"})


class BuildStrategy(Enum):
    """Where the builder runs, or what stands in for it."""

    HERE = "in this process"
    HATCH = "through `hatch build -t connect`"
    ISOLATED = "in an isolated environment, by Hatchling"
    WHEEL = "a wheel from the project's own back end"
    TREE = "only the tree"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenStrategy:
    """The strategy, and the reason for `--verbose`; `requires` is for an isolated environment."""

    strategy: BuildStrategy
    because: str
    requires: tuple[str, ...] = ()
    hatch: tuple[str, ...] = ()


def choose_strategy(config: ProjectConfig, environ: Mapping[str, str]) -> ChosenStrategy:
    """Decide where this project is built.

    Without a back end it is the tree if that holds the entrypoint, else the wheel that setuptools
    would make, as for pip (PEP 517); raises BundleError if there is no [project] either.
    """
    if config.build_backend is None:
        return _without_backend(config)
    if config.build_backend != _HATCHLING:
        return _by_other_backend(config)
    hatch = _Hatch(config)
    reasons = list(hatch.foreign())
    if not reasons:
        return ChosenStrategy(
            strategy=BuildStrategy.HERE, because="nothing but hatchling is required"
        )
    command = _hatch_command(environ)
    if command and hatch.knows_target():
        return ChosenStrategy(strategy=BuildStrategy.HATCH, because=reasons[0], hatch=command)
    return ChosenStrategy(
        strategy=BuildStrategy.ISOLATED, because=reasons[0], requires=hatch.requirements()
    )


def _by_other_backend(config: ProjectConfig) -> ChosenStrategy:
    if config.is_whole_tree:
        return ChosenStrategy(strategy=BuildStrategy.TREE, because="the tree is the content")
    if not config.app_mode.has_python:
        return ChosenStrategy(
            strategy=BuildStrategy.TREE, because="content without Python needs no build"
        )
    return ChosenStrategy(
        strategy=BuildStrategy.WHEEL, because=f"the back end is {config.build_backend}"
    )


def _without_backend(config: ProjectConfig) -> ChosenStrategy:
    wanted = (config.rendered,) if config.rendered else entry_files(config)
    if not wanted or any((config.content_root / path).exists() for path in wanted):
        return ChosenStrategy(strategy=BuildStrategy.TREE, because="there is no [build-system]")
    if config.metadata.has_project:
        return ChosenStrategy(
            strategy=BuildStrategy.WHEEL, because="without [build-system], setuptools builds"
        )
    raise BundleError(
        f"The entrypoint `{config.entrypoint}` is not in {config.root}: there is no"
        f" {' or '.join(wanted)}, and no back end to build a package.",
        hint="Correct `entrypoint` in [tool.hatch-connect], or add the tables [project] and "
        "[build-system].",
    )


def _hatch_command(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command that runs Hatch; empty if it cannot be had."""
    if find_spec("hatch") is not None:
        return (sys.executable, "-m", "hatch")
    found = shutil.which("hatch", path=environ.get("PATH", ""))
    return (found,) if found else ()


class _Hatch:
    """Hatch's tables on the build; a key of `hatch.toml` wins over the one of pyproject.toml."""

    def __init__(self, config: ProjectConfig) -> None:
        self._config = config
        self._hatch = config.project.tables.hatch_tables
        self._build = table_at(self._hatch, "build")
        targets = table_at(self._build, "targets")
        self._wheel, self._connect = table_at(targets, "wheel"), table_at(targets, "connect")

    def foreign(self) -> Iterator[str]:
        """Return the reasons why this process cannot run the build."""
        for requirement in self.requirements():
            if not _is_at_hand(requirement):
                yield f"the build requires {requirement}"
        source = table_at(self._hatch, "version").get("source", "regex")
        if source not in _OUR_SOURCES:
            yield f"the version comes from {source!r}"
        for hook in table_at(self._hatch, "metadata", "hooks"):
            yield f"the metadata hook {hook!r} is used"
        for table in (self._build, self._wheel, self._connect):
            for hook in table_at(table, "hooks"):
                if hook not in _OUR_HOOKS:
                    yield f"the build hook {hook!r} is used"
            if table.get("require-runtime-dependencies") or table.get("require-runtime-features"):
                yield "the build requires the project's own dependencies"

    def requirements(self) -> tuple[str, ...]:
        """Return what the build of the target `connect`, and of the wheel inside, requires."""
        found: dict[str, None] = dict.fromkeys(self._config.build_requires)
        for table in (self._build, self._wheel, self._connect):
            found |= dict.fromkeys(texts_at(table, "dependencies"))
            for hook in table_at(table, "hooks").values():
                found |= dict.fromkeys(texts_at(hook, "dependencies"))
            if table.get("require-runtime-dependencies"):
                found |= dict.fromkeys(self._config.dependencies)
        return tuple(found)

    def knows_target(self) -> bool:
        """Return whether `hatch build` installs this plugin, and all that the wheel needs."""
        # Hatch installs what this target declares, and knows nothing of the wheel inside.
        declared = {*self._config.build_requires, *texts_at(self._build, "dependencies")}
        declared |= {*texts_at(self._connect, "dependencies")}
        own = any(_installs_us(requirement) for requirement in declared)
        return own and set(texts_at(self._wheel, "dependencies")) <= declared


def _installs_us(requirement: str) -> bool:
    """Return whether a requirement installs this very package: a bare name needs an index."""
    return requirement_name(requirement) == OWN_NAME and ("@" in requirement or own_url() is None)


def _is_at_hand(requirement: str) -> bool:
    if requirement_name(requirement) not in _AT_HAND:
        return False
    parsed = parse_requirement(requirement)
    if parsed is None or parsed.url:
        return requirement_name(requirement) == OWN_NAME
    from importlib.metadata import version

    return parsed.specifier.contains(version(parsed.name), prereleases=True)


def requirement_name(requirement: str) -> str:
    """Return the normalized name that a requirement begins with, "" if it has none."""
    # Not by a parser: `{root:uri}`, which Hatch fills in, is no URL yet.
    found = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return canonicalize_name(found[1]) if found else ""
