from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.bundles import in_memory
from support.projects import PACKAGE, configuration, project

from hatch_connect import errors
from hatch_connect.bundle.build_protocol import (
    BuildRequest,
    Built,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from hatch_connect.bundle.bundle import Bundle
from hatch_connect.bundle.manifest import Manifest, ManifestMetadata, ManifestPython
from hatch_connect.bundle.packages import PackageInputs, Packages
from hatch_connect.bundle.selector import LeftOut
from hatch_connect.events import Note, Step, Warned
from hatch_connect.locks.lock import LocalPackage, Lock, Pin
from hatch_connect.project.interpreter import Installed, Interpreter
from hatch_connect.project.python_version import PythonTarget
from hatch_connect.project.target import Target

LOCK = Lock(
    path=Path("/p/requirements.txt"),
    format="requirements.txt",
    pins=(),
    verbatim=b"a==1\n\xff",
    notes=("a note",),
    local=(LocalPackage(name="b", path=Path("/b"), because="a"),),
)
PACKAGES = Packages(
    python=PythonTarget(version="3.11.0", requires=None, because="x", notes=("a note",)),
    target=Target(python="3.11", machine="x86_64"),
    lock=LOCK,
    because="it is there",
    path="requirements.txt",
    content=b"a==1\n\xff",
    included=(("more.txt", b"c==1"),),
)
NOTEBOOK = '[tool.hatch-connect]\napp-mode = "notebook"\nentrypoint = "a.ipynb"\nstatic = true\n'


def request(tmp_path: Path, **more: object) -> BuildRequest:
    return BuildRequest(config=configuration(project(tmp_path / "p", PACKAGE)), **more)  # type: ignore[arg-type] # as each test says


def sent(request_: BuildRequest) -> BuildRequest:
    """Return what arrives in the other process."""
    text = encode_request(request_, Path("/tmp/answer"))
    arrived, answer = decode_request(text, request_.config.project)
    assert answer == Path("/tmp/answer")
    return arrived


@pytest.mark.parametrize("content", [None, "api"])
def test_a_request_arrives_as_it_was_sent(tmp_path: Path, content: str | None) -> None:
    more = '[tool.hatch-connect.content.api]\ntitle = "An API"\n'
    root = project(tmp_path / "p", PACKAGE, more=more)
    overrides = {"exclude": ["*.md"], "image": "x", "override-python-version": "3.12"}
    bare = BuildRequest(config=configuration(root))
    full = BuildRequest(
        config=configuration(root, content=content, overrides=overrides),
        packages=PACKAGES,
        options_of_python=("--python",),
        form="folder",
        unless="0" * 64,
    )
    assert sent(bare) == bare
    assert sent(full) == full


def test_pins_stay_here(tmp_path: Path) -> None:
    pinned = replace(LOCK, pins=(Pin(name="a", requirement="a==1", version="1"),))
    arrived = sent(request(tmp_path, packages=replace(PACKAGES, lock=pinned)))
    assert arrived.packages == PACKAGES


def test_what_could_not_be_decided_is_refused_there(tmp_path: Path) -> None:
    arrived = sent(request(tmp_path, refused=errors.LockError("no lock", hint="lock")))
    with pytest.raises(errors.LockError) as caught:
        arrived.decide_packages()
    assert str(caught.value) == "no lock\nlock"


def test_the_interpreter_of_a_notebook_goes_along(tmp_path: Path) -> None:
    found = Interpreter(
        path=Path("/usr/bin/python"),
        version="3.11.7",
        implementation="cpython",
        packages=(Installed(name="a", version="1"),),
    )
    root = project(tmp_path / "p", {"a.ipynb": "{}"}, connect=NOTEBOOK)
    asked = BuildRequest(config=configuration(root), inputs=PackageInputs(inspect=lambda: found))
    arrived = sent(asked).inputs.interpreter()
    assert arrived is not None
    assert (arrived.path, arrived.packages) == (found.path, ())


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"request": 3}', '{"request": {"overrides": 3}}']
)
def test_a_variable_that_holds_something_else(tmp_path: Path, text: str) -> None:
    config = configuration(project(tmp_path / "p", PACKAGE))
    with pytest.raises(errors.UsageError, match="HATCH_CONNECT_OPTIONS"):
        decode_request(text, config.project)


@pytest.mark.parametrize("python", [ManifestPython(version="3.11.0"), None])
def test_an_answer_arrives_as_it_was_sent(tmp_path: Path, python: ManifestPython | None) -> None:
    """The caller knows the packages, and the manifest says whether the content needs them."""
    asked = request(tmp_path, packages=PACKAGES)
    manifest = Manifest(metadata=ManifestMetadata(app_mode="static"), locale=None, python=python)
    bundle = Bundle.write(tmp_path / "b.tar.gz", manifest, in_memory({"a": b"1"}))
    left_out = (LeftOut(path=".env", rule="guard"),)
    built = Built(
        content=None, contents=bundle, left_out=left_out, packages=PACKAGES if python else None
    )
    heard = (Step(text="not told"), Note(text="told"), Warned(text="told too"))
    assert decode_answer(encode_answer(built, heard), asked) == (built, heard[1:])


def test_an_answer_of_an_earlier_release_names_an_archive(tmp_path: Path) -> None:
    manifest = Manifest(metadata=ManifestMetadata(app_mode="static"), locale=None)
    bundle = Bundle.write(tmp_path / "b.tar.gz", manifest, in_memory({"a": b"1"}))
    built = {"path": str(bundle.path), "size": 1, "md5": "", "manifest": {}, "left_out": []}
    text = json.dumps({"built": built, "events": [], "error": None})
    answer, _ = decode_answer(text, request(tmp_path))
    assert answer is not None
    assert answer.contents == bundle


@pytest.mark.parametrize(
    "error",
    [
        errors.LockError("no lock", hint="lock"),
        errors.BundleError("no"),
        errors.ConfigurationError(("a", "b"), where="pyproject.toml", hint="mend"),
    ],
)
def test_an_error_is_raised_here_as_the_same_one(
    tmp_path: Path, error: errors.HatchConnectError
) -> None:
    with pytest.raises(type(error)) as caught:
        decode_answer(encode_answer(None, (), error), request(tmp_path))
    assert str(caught.value) == str(error)
    assert caught.value.hint == error.hint
    if isinstance(error, errors.ConfigurationError):
        assert isinstance(caught.value, errors.ConfigurationError)
        assert caught.value.problems == error.problems


def test_an_error_of_a_newer_version_is_an_error_of_the_build(tmp_path: Path) -> None:
    text = encode_answer(None, (), errors.BundleError("no")).replace("BundleError", "NewError")
    with pytest.raises(errors.BuildError):
        decode_answer(text, request(tmp_path))


def test_nothing_else_has_a_json_form(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        encode_request(request(tmp_path, overrides={"x": object()}), Path("a"))
