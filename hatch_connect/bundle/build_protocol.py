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
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from hatch_connect import errors
from hatch_connect.bundle.bundle import Bundle, BundleContents
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
Form: TypeAlias = Literal["archive", "folder", "manifest"]
"""What a build makes of the content: a bundle, a folder that holds the same, or nothing but the
description of it."""
_EVENTS: dict[str, Callable[..., Event]] = {"note": Note, "warned": Warned}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What a call asks of the build of one piece of content.

    `directory` is where the bundle goes (None: dist/connect in the root). `packages` were decided
    before the build; `refused` says why they could not be, which matters only if the content turns
    out to need some. Otherwise the build decides them by the `inputs`. `options_of_python` are the
    call's options that mean nothing without Python. `unless` is the identity of a bundle that is
    not to be made again: if the content is that, it is only described.
    """

    config: ProjectConfig
    directory: Path | None = None
    inputs: PackageInputs = field(default_factory=PackageInputs)
    packages: Packages | None = None
    refused: errors.HatchConnectError | None = None
    options_of_python: tuple[str, ...] = ()
    form: Form = "archive"
    unless: str | None = None

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

    `contents` are a `Bundle` unless the request asked only to describe it, or was for another one
    than this. `packages` are None for content without Python. `moved` are the files that do not lie
    at their path below the content's root, None if that is not known.
    """

    content: str | None
    contents: BundleContents
    left_out: tuple[LeftOut, ...]
    packages: Packages | None
    moved: tuple[str, ...] | None = None

    @property
    def bundle(self) -> Bundle:
        """The bundle, for a request that has one made in any case."""
        if isinstance(self.contents, Bundle):
            return self.contents
        raise AssertionError("the content was only described")

    @property
    def python(self) -> PythonTarget | None:
        """The Python that the content asks for."""
        return self.packages.python if self.packages else None

    @property
    def lock(self) -> Lock | None:
        """The lock that its packages are from."""
        return self.packages.lock if self.packages else None


def encode_request(request: BuildRequest, answer: Path) -> str:
    """Return the value of the variable."""
    config, refused = request.config, request.refused
    interpreter = request.inputs.interpreter() if config.rendered else None
    asked = {
        "content": config.content,
        "overrides": config.overrides,
        "options_of_python": request.options_of_python,
        "form": request.form,
        "unless": request.unless,
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
            f"{VARIABLE} is not what this version of hatch-connect writes to it: {error}.",
            hint="Unset it: it is reserved for hatch-connect.",
        ) from error
    return BuildRequest(
        config=project.content(content, overrides=overrides),
        inputs=inputs,
        packages=decided,
        refused=_error(refused) if refused else None,
        options_of_python=options,
        form=next((form for form in get_args(Form) if form == request.get("form")), "archive"),
        unless=request.get("unless"),
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
        **_contents_to_dict(built.contents),
        "left_out": [asdict(item) for item in built.left_out],
        "moved": built.moved,
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
    contents, moved = _contents(data), data.get("moved")
    return Built(
        content=request.config.content,
        contents=contents,
        left_out=tuple(LeftOut(**item) for item in data["left_out"]),
        # Only the build tells whether a Quarto document needs packages.
        packages=request.packages if contents.manifest.python else None,
        moved=None if moved is None else tuple(moved),
    )


def _contents_to_dict(contents: BundleContents) -> dict[str, object]:
    archive = contents if isinstance(contents, Bundle) else None
    return {
        "manifest": contents.manifest.to_dict(),
        "identity": contents.identity,
        "sizes": contents.sizes,
        "bundle": archive and {key: getattr(archive, key) for key in ("path", "size", "md5")},
    }


def _contents(data: Mapping[str, Any]) -> BundleContents:
    if "identity" not in data:  # by an earlier release, which the project's build requires
        path = Path(data["path"])
        return Bundle.open(path, into=path.parent)
    manifest, archive = Manifest.from_dict(data["manifest"]), data["bundle"]
    described = {
        "manifest": manifest,
        "digest": manifest.digest,
        "identity": data["identity"],
        "sizes": tuple((path, size) for path, size in data["sizes"]),
    }
    if archive is None:
        return BundleContents(**described)
    return Bundle(**{**archive, "path": Path(archive["path"])}, **described)


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
            "pinned": lock.pinned,
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
            pinned=lock.get("pinned", False),
            local=tuple(LocalPackage(**one) for one in local),
        ),
        because=data["because"],
        path=data["path"],
        content=content,
        included=tuple((path, base64.b64decode(text)) for path, text in data["included"]),
    )
