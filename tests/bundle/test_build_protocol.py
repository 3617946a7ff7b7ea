from __future__ import annotations

from pathlib import Path

import pytest
from support.bundles import in_memory

from hatch_connect import errors
from hatch_connect.bundle.build_protocol import (
    BuildRequest,
    Built,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from hatch_connect.bundle.manifest import Manifest, ManifestMetadata
from hatch_connect.bundle.reading import Bundle
from hatch_connect.bundle.selector import LeftOut
from hatch_connect.events import Note, Step, Warned
from hatch_connect.locks.lock import Lock, Pin
from hatch_connect.project.interpreter import DirectUrl, Installed, Interpreter
from hatch_connect.project.python_version import PythonTarget

LOCK = Lock(
    path=Path("/p/uv.lock"),
    format="uv.lock",
    pins=(Pin(name="a", requirement="a==1", version="1", hashes=("sha256:0",)),),
    sha256="0",
    verbatim=b"a==1\n\xff",
    files=(Path("/p/uv.lock"),),
    notes=("a note",),
)
INTERPRETER = Interpreter(
    path=Path("/usr/bin/python"),
    version="3.11.7",
    implementation="cpython",
    packages=(
        Installed(name="a", version="1", direct_url=DirectUrl(url="file:///a", editable=True)),
        Installed(name="b", version="2"),
    ),
    broken=("x",),
)


@pytest.mark.parametrize(
    "request_",
    [
        BuildRequest(root=Path("/p")),
        BuildRequest(
            root=Path("/p"),
            overrides={"exclude": ["*.md"], "image": "x"},
            contents=("a", "b"),
            python_option="3.12",
            installed=LOCK,
            interpreter=INTERPRETER,
            on="prod",
        ),
    ],
)
def test_a_request_arrives_as_it_was_sent(request_: BuildRequest) -> None:
    text = encode_request(request_, Path("/tmp/answer"))
    assert decode_request(text, Path("/p")) == (request_, Path("/tmp/answer"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"request": 3}', '{"request": {"contents": 3}}'])
def test_a_variable_that_holds_something_else(text: str) -> None:
    with pytest.raises(errors.UsageError, match="HATCH_CONNECT_OPTIONS"):
        decode_request(text, Path("/p"))


def test_an_answer_arrives_as_it_was_sent(tmp_path: Path) -> None:
    manifest = Manifest(metadata=ManifestMetadata(app_mode="static"), locale=None)
    built = Built(
        content="docs",
        bundle=Bundle.write(tmp_path / "b.tar.gz", manifest, in_memory({"a": b"1"})),
        left_out=(LeftOut(path=".env", rule="guard"),),
        python=PythonTarget(version="3.11.0", requires=None, because="x"),
        lock=LOCK,
        notes=("a note",),
    )
    bare = Built(content=None, bundle=built.bundle, left_out=(), python=None, lock=None)
    heard = (Step(text="not told"), Note(text="told"), Warned(text="told too"))
    assert decode_answer(encode_answer((built, bare), heard)) == ((built, bare), heard[1:])


@pytest.mark.parametrize(
    "error",
    [
        errors.LockError("no lock", hint="lock"),
        errors.BundleError("no"),
        errors.ConfigurationError(("a", "b"), where="pyproject.toml", hint="mend"),
    ],
)
def test_an_error_is_raised_here_as_the_same_one(error: errors.HatchConnectError) -> None:
    with pytest.raises(type(error)) as caught:
        decode_answer(encode_answer((), (), error))
    assert str(caught.value) == str(error)
    assert caught.value.hint == error.hint
    if isinstance(error, errors.ConfigurationError):
        assert isinstance(caught.value, errors.ConfigurationError)
        assert caught.value.problems == error.problems


def test_an_error_of_a_newer_version_is_an_error_of_the_build() -> None:
    text = encode_answer((), (), errors.BundleError("no")).replace("BundleError", "NewError")
    with pytest.raises(errors.BuildError):
        decode_answer(text)


def test_nothing_else_has_a_json_form() -> None:
    with pytest.raises(TypeError):
        encode_request(BuildRequest(root=Path(), overrides={"x": object()}), Path("a"))
