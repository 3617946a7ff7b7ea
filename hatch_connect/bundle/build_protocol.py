"""The request for a build and its answer, also as JSON for a build in another process.

The request is the value of an environment variable, and names the file for the answer. Neither
holds a secret.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_connect import errors
from hatch_connect.bundle.manifest import Manifest
from hatch_connect.bundle.reading import Bundle
from hatch_connect.bundle.selector import LeftOut
from hatch_connect.events import Note, Warned
from hatch_connect.locks.lock import LocalPackage, Lock, Omitted, Pin
from hatch_connect.project.interpreter import DirectUrl, Installed, Interpreter
from hatch_connect.project.python_version import PythonTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hatch_connect.bundle.packages import Packages
    from hatch_connect.bundle.selector import Selector
    from hatch_connect.events import Event, Report
    from hatch_connect.locks.lock import LockFile
    from hatch_connect.project.project import Project, ProjectConfig

VARIABLE = "HATCH_CONNECT_OPTIONS"
MAIN = "standard"
"""What Hatch calls the main content, the one without a name."""
_HEARD: dict[str, Callable[..., Event]] = {"note": Note, "warned": Warned}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What a call asks of the build.

    `overrides` are keys of [tool.hatch-connect] as given on the call (never secrets); `contents`
    the names of the pieces of content (empty: the main one); `directory` where the bundles go
    (None: dist/connect in the root); `installed` the packages of an environment and `interpreter`
    the Python of it, for a project without a lock (interactive verbs only), which `inspect` asks
    if nothing else decides; `lock` the file that was found; `on` the nickname
    whose table counts; `options_of_python` the call's options that mean nothing without Python.
    `project` was read already, and `packages` were decided, for the one piece of content that is
    asked for.
    """

    root: Path
    overrides: Mapping[str, object] = field(default_factory=dict)
    contents: tuple[str, ...] = ()
    directory: Path | None = None
    python_option: str | None = None
    installed: Lock | None = None
    interpreter: Interpreter | None = None
    inspect: Callable[[], Interpreter | None] | None = None
    lock: LockFile | None = None
    on: str | None = None
    options_of_python: tuple[str, ...] = ()
    project: Project | None = None
    packages: Packages | None = None

    def inspected(self) -> Interpreter | None:
        """Return the interpreter, which is asked now if it was not before."""
        return self.interpreter or (self.inspect() if self.inspect else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext:
    """What every part of the build of one piece of content needs.

    `directory` is where its bundle goes. The `selector` is one, so that git is asked once.
    """

    config: ProjectConfig
    request: BuildRequest
    directory: Path
    selector: Selector
    environ: Mapping[str, str]
    report: Report


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


def encode_request(request: BuildRequest, answer: Path) -> str:
    """Return the value of the variable; the other process reads and decides by itself."""
    decided = replace(request, interpreter=request.inspected())
    asked = asdict(replace(decided, project=None, inspect=None, lock=None, packages=None))
    return json.dumps({"request": asked, "answer": answer}, default=_plain)


def decode_request(text: str, root: Path) -> tuple[BuildRequest, Path | None]:
    """Return the request in the variable, and the file for the answer; skip unknown keys."""
    try:
        data = json.loads(text)
        request = data["request"]
        answer = data.get("answer")
        return BuildRequest(
            root=root,
            overrides=request.get("overrides") or {},
            contents=tuple(request.get("contents") or ()),
            python_option=request.get("python_option"),
            installed=_lock(request.get("installed")),
            interpreter=_interpreter(request.get("interpreter")),
            on=request.get("on"),
            options_of_python=tuple(request.get("options_of_python") or ()),
        ), Path(answer) if answer else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.UsageError(
            f"{VARIABLE} does not hold what this version of hatch-connect writes there: {error}.",
            hint="Unset it: it is for hatch-connect's own use.",
        ) from error


def encode_answer(
    built: Sequence[Built],
    heard: Sequence[Event],
    error: errors.HatchConnectError | None = None,
) -> str:
    """Return the content of the answer's file."""
    told = [
        {"kind": type(event).__name__.lower(), "text": event.text}
        for event in heard
        if isinstance(event, Note | Warned)
    ]
    failure = error and {
        "kind": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
    }
    bundles = [{**asdict(one), "bundle": _bundle_to_dict(one.bundle)} for one in built]
    return json.dumps({"built": bundles, "heard": told, "error": failure}, default=_plain)


def decode_answer(text: str) -> tuple[tuple[Built, ...], tuple[Event, ...]]:
    """Read the answer; an error of the other process is raised here."""
    data = json.loads(text)
    if failure := data["error"]:
        raise _error(failure)
    heard = tuple(_HEARD[event["kind"]](text=event["text"]) for event in data["heard"])
    return tuple(_built(one) for one in data["built"]), heard


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _error(data: Mapping[str, Any]) -> errors.HatchConnectError:
    kind = getattr(errors, data["kind"], errors.BuildError)
    if kind is errors.ConfigurationError:
        where, *problems = data["message"].split("\n  - ")
        return errors.ConfigurationError(
            tuple(problems), where=where.removesuffix(":"), hint=data["hint"]
        )
    error: errors.HatchConnectError = kind(data["message"], hint=data["hint"])
    return error


def _bundle_to_dict(bundle: Bundle) -> dict[str, object]:
    return {
        "path": bundle.path,
        "manifest": bundle.manifest.to_dict(),
        "size": bundle.size,
        "md5": bundle.md5,
    }


def _built(data: Mapping[str, Any]) -> Built:
    manifest = Manifest.from_dict(data["bundle"]["manifest"])
    return Built(
        content=data["content"],
        bundle=Bundle(
            path=Path(data["bundle"]["path"]),
            manifest=manifest,
            size=data["bundle"]["size"],
            digest=manifest.digest,
            md5=data["bundle"]["md5"],
        ),
        left_out=tuple(LeftOut(**item) for item in data["left_out"]),
        python=PythonTarget(**{**data["python"], "notes": tuple(data["python"]["notes"])})
        if data["python"]
        else None,
        lock=_lock(data["lock"]),
        notes=tuple(data["notes"]),
    )


def _lock(data: Mapping[str, Any] | None) -> Lock | None:
    if data is None:
        return None
    return Lock(
        path=Path(data["path"]) if data["path"] else None,
        format=data["format"],
        pins=tuple(Pin(**{**pin, "hashes": tuple(pin["hashes"])}) for pin in data["pins"]),
        sha256=data["sha256"],
        verbatim=base64.b64decode(data["verbatim"]) if data["verbatim"] is not None else None,
        markers_kept=data["markers_kept"],
        files=tuple(Path(file) for file in data["files"]),
        requires_python=data["requires_python"],
        notes=tuple(data["notes"]),
        local=tuple(LocalPackage(**{**one, "path": Path(one["path"])}) for one in data["local"]),
        omitted=tuple(Omitted(**one) for one in data["omitted"]),
        indexes=tuple(data["indexes"]),
    )


def _interpreter(data: Mapping[str, Any] | None) -> Interpreter | None:
    if data is None:
        return None
    packages = tuple(
        Installed(
            name=one["name"],
            version=one["version"],
            direct_url=DirectUrl(**one["direct_url"]) if one["direct_url"] else None,
        )
        for one in data["packages"]
    )
    return Interpreter(
        **{
            **data,
            "path": Path(data["path"]),
            "packages": packages,
            "broken": tuple(data["broken"]),
        }
    )
