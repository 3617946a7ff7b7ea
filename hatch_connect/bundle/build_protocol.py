"""The request for a build and its answer, also as JSON for a build in another process.

The request is the value of an environment variable, and names the file for the answer. Neither
holds a secret. The other process is told which packages were decided, and the answer holds no more
than the caller does not know yet.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_connect import errors
from hatch_connect.bundle.bundle import Bundle
from hatch_connect.bundle.manifest import Manifest
from hatch_connect.bundle.packages import PackageInputs, Packages, decide_packages
from hatch_connect.bundle.selector import LeftOut
from hatch_connect.events import Note, Warned
from hatch_connect.locks.lock import LocalPackage, Lock
from hatch_connect.project.interpreter import Interpreter
from hatch_connect.project.python_version import PythonTarget
from hatch_connect.project.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hatch_connect.bundle.selector import Selector
    from hatch_connect.events import Event, Report
    from hatch_connect.project.project import Project, ProjectConfig

VARIABLE = "HATCH_CONNECT_OPTIONS"
MAIN = "standard"
"""What Hatch calls the main content, the one without a name."""
_EVENTS: dict[str, Callable[..., Event]] = {"note": Note, "warned": Warned}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What a call asks of the build of one piece of content.

    `directory` is where the bundle goes (None: dist/connect in the root). `packages` were decided
    before the build; `refused` says why they could not be, which matters only if the content turns
    out to need some. Otherwise the build decides them by the `inputs`. `options_of_python` are the
    call's options that mean nothing without Python. `as_folder` asks for the content as a folder
    instead of an archive.
    """

    config: ProjectConfig
    directory: Path | None = None
    inputs: PackageInputs = field(default_factory=PackageInputs)
    packages: Packages | None = None
    refused: errors.HatchConnectError | None = None
    options_of_python: tuple[str, ...] = ()
    as_folder: bool = False

    def decide_packages(self) -> Packages:
        """Return the packages, which are decided now if they were not before.

        Raises LockError or PythonVersionError.
        """
        if self.refused:
            raise self.refused
        return self.packages or decide_packages(self.config, self.inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext:
    """What every part of the build of one piece of content needs.

    `directory` is where its bundle goes. The `selector` is one, so that git is asked once.
    """

    request: BuildRequest
    directory: Path
    selector: Selector
    environ: Mapping[str, str]
    report: Report

    @property
    def config(self) -> ProjectConfig:
        """The configuration of the content."""
        return self.request.config


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A bundle that was built, and what there is to say of it.

    `python` and `lock` are None for content without Python.
    """

    content: str | None
    bundle: Bundle
    left_out: tuple[LeftOut, ...]
    python: PythonTarget | None
    lock: Lock | None


def built_for(
    request: BuildRequest, bundle: Bundle, left_out: tuple[LeftOut, ...], packages: Packages | None
) -> Built:
    """Return the bundle that was built for a request, with these packages."""
    return Built(
        content=request.config.content,
        bundle=bundle,
        left_out=left_out,
        python=packages.python if packages else None,
        lock=packages.lock if packages else None,
    )


def encode_request(request: BuildRequest, answer: Path) -> str:
    """Return the value of the variable."""
    config, refused = request.config, request.refused
    interpreter = request.inputs.interpreter() if config.rendered else None
    asked = {
        "content": config.content,
        "overrides": config.overrides,
        "options_of_python": request.options_of_python,
        "as_folder": request.as_folder,
        "interpreter": interpreter
        and {key: getattr(interpreter, key) for key in ("path", "version", "implementation")},
        "packages": request.packages and _packages_to_dict(request.packages),
        "refused": refused and _error_to_dict(refused),
    }
    return json.dumps({"request": asked, "answer": answer}, default=_plain)


def decode_request(text: str, project: Project) -> tuple[BuildRequest, Path | None]:
    """Return the request in the variable, and the file for the answer; skip unknown keys."""
    try:
        data = json.loads(text)
        request, answer = data["request"], data.get("answer")
        content, overrides = request.get("content"), dict(request.get("overrides") or {})
        found, packages, refused = map(request.get, ("interpreter", "packages", "refused"))
        interpreter = Interpreter(**{**found, "path": Path(found["path"])}) if found else None
        inputs = PackageInputs(inspect=(lambda: interpreter) if interpreter else None)
        decided = _packages(packages) if packages else None
        options = tuple(request.get("options_of_python") or ())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.UsageError(
            f"{VARIABLE} does not hold what this version of hatch-connect writes there: {error}.",
            hint="Unset it: it is for hatch-connect's own use.",
        ) from error
    return BuildRequest(
        config=project.content(content, overrides=overrides),
        inputs=inputs,
        packages=decided,
        refused=_error(refused) if refused else None,
        options_of_python=options,
        as_folder=request.get("as_folder") is True,
    ), Path(answer) if answer else None


def encode_answer(
    built: Built | None,
    events: Sequence[Event],
    error: errors.HatchConnectError | None = None,
) -> str:
    """Return the content of the answer's file."""
    reported = [
        {"kind": type(event).__name__.lower(), "text": event.text}
        for event in events
        if isinstance(event, Note | Warned)
    ]
    answer = built and {
        "path": built.bundle.path,
        "size": built.bundle.size,
        "md5": built.bundle.md5,
        "manifest": built.bundle.manifest.to_dict(),
        "left_out": [asdict(item) for item in built.left_out],
    }
    failure = error and _error_to_dict(error)
    return json.dumps({"built": answer, "events": reported, "error": failure}, default=_plain)


def decode_answer(text: str, request: BuildRequest) -> tuple[Built | None, tuple[Event, ...]]:
    """Read the answer to a request; an error of the other process is raised here."""
    data = json.loads(text)
    if failure := data["error"]:
        raise _error(failure)
    events = tuple(_EVENTS[event["kind"]](text=event["text"]) for event in data["events"])
    return _built(data["built"], request) if data["built"] else None, events


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _error_to_dict(error: errors.HatchConnectError) -> dict[str, object]:
    return {"kind": type(error).__name__, "message": error.message, "hint": error.hint}


def _error(data: Mapping[str, Any]) -> errors.HatchConnectError:
    kind = getattr(errors, data["kind"], errors.BuildError)
    if kind is errors.ConfigurationError:
        where, *problems = data["message"].split("\n  - ")
        return errors.ConfigurationError(
            tuple(problems), where=where.removesuffix(":"), hint=data["hint"]
        )
    error: errors.HatchConnectError = kind(data["message"], hint=data["hint"])
    return error


def _built(data: Mapping[str, Any], request: BuildRequest) -> Built:
    manifest = Manifest.from_dict(data["manifest"])
    bundle = Bundle(
        path=Path(data["path"]),
        manifest=manifest,
        size=data["size"],
        digest=manifest.digest,
        md5=data["md5"],
    )
    left_out = tuple(LeftOut(**item) for item in data["left_out"])
    # Only the build tells whether a Quarto document needs packages.
    return built_for(request, bundle, left_out, request.packages if manifest.python else None)


def _packages_to_dict(packages: Packages) -> dict[str, object]:
    """Return what a build takes from decided packages: of their lock, not the pins."""
    lock = packages.lock
    return {
        "python": asdict(packages.python),
        "target": asdict(packages.target),
        "because": packages.because,
        "path": packages.path,
        "content": packages.content,
        "included": packages.included,
        "lock": {
            "path": lock.path,
            "format": lock.format,
            "verbatim": lock.verbatim is not None,
            "notes": lock.notes,
            "local": [asdict(one) for one in lock.local],
        },
    }


def _packages(data: Mapping[str, Any]) -> Packages:
    python, lock, content = data["python"], data["lock"], base64.b64decode(data["content"])
    local = ({**one, "path": Path(one["path"])} for one in lock["local"])
    return Packages(
        python=PythonTarget(**{**python, "notes": tuple(python["notes"])}),
        target=Target(**data["target"]),
        lock=Lock(
            path=Path(lock["path"]) if lock["path"] else None,
            format=lock["format"],
            pins=(),
            verbatim=content if lock["verbatim"] else None,
            notes=tuple(lock["notes"]),
            local=tuple(LocalPackage(**one) for one in local),
        ),
        because=data["because"],
        path=data["path"],
        content=content,
        included=tuple((path, base64.b64decode(text)) for path, text in data["included"]),
    )
