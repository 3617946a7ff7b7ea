"""What a call asks of a build, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_connect.bundle.archive import Bundle
    from hatch_connect.bundle.content import LeftOut
    from hatch_connect.bundle.packages import Packages
    from hatch_connect.locks.lock import Lock
    from hatch_connect.project.interpreter import Interpreter
    from hatch_connect.project.python_version import PythonTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What a call asks of the build.

    `overrides` are keys of [tool.hatch-connect] as given on the call (never secrets); `contents`
    the names of the pieces of content (empty: the main one); `directory` where the bundles go
    (None: dist/connect in the root); `installed` the packages of an environment and `interpreter`
    the Python of it, for a project without a lock (interactive verbs only); `on` the nickname
    whose table counts; `options_of_python` the call's options that mean nothing without Python.
    `packages` were decided already, for the one piece of content that is asked for.
    """

    root: Path
    overrides: Mapping[str, object] = field(default_factory=dict)
    contents: tuple[str, ...] = ()
    directory: Path | None = None
    python_option: str | None = None
    installed: Lock | None = None
    interpreter: Interpreter | None = None
    on: str | None = None
    options_of_python: tuple[str, ...] = ()
    packages: Packages | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A bundle that was built, and what there is to say of it.

    `python` and `lock` are None for content without Python. `notes` were reported already.
    """

    content: str | None
    bundle: Bundle
    left_out: tuple[LeftOut, ...]
    python: PythonTarget | None
    lock: Lock | None
    notes: tuple[str, ...] = ()
