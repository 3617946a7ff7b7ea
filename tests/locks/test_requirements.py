from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from support.projects import configuration

from hatch_connect.bundle.packages import requirements_txt
from hatch_connect.errors import LockError
from hatch_connect.locks import find_lock, read_lock
from hatch_connect.locks.requirements import packages_in
from hatch_connect.project.target import Target

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.locks.lock import Lock

SETTINGS = "[tool.hatch-connect]\napp-mode = 'fastapi'\nentrypoint = 'a'\n"
TARGET = Target(python="3.11", machine="x86_64")


def read(root: Path, text: str, *, strict: bool = False, **files: str) -> Lock:
    (root / "pyproject.toml").write_text(SETTINGS)
    (root / "requirements.txt").write_bytes(text.encode())
    for name, content in files.items():
        (root / f"{name}.txt").write_text(content)
    return read_there(root, strict=strict)


def read_there(root: Path, **asked: object) -> Lock:
    config = configuration(root, overrides=asked)
    found = find_lock(config)
    assert found is not None
    return read_lock(found, config, TARGET)


def refused(root: Path, text: str) -> str:
    with pytest.raises(LockError) as caught:
        read(root, text)
    return str(caught.value)


PINNED = """\
# by hand\r
flask == 3.0.0 ; python_version > "3.8" \\
    # why
Requests[socks]===2.32.0\r
--index-url https://index.example/simple
idna @ git+https://github.com/kjd/idna@0123456789abcdef
six @ https://h.example/six-1.17.0-py2.py3-none-any.whl
"""


def test_a_pinned_file_ships_as_it_is_but_for_line_endings_of_the_checkout(tmp_path: Path) -> None:
    lock = read(tmp_path, PINNED)
    assert requirements_txt(lock) == PINNED.replace("\r\n", "\n").encode()
    assert (lock.format, lock.notes) == ("requirements.txt", ())
    assert [(pin.name, pin.version) for pin in lock.pins] == [
        ("flask", "3.0.0"),
        ("requests", "2.32.0"),
        ("idna", None),
        ("six", None),
    ]
    assert lock.pins[0].because == "requirements.txt:2"


def test_a_file_of_hashed_lines_ships_byte_by_byte(tmp_path: Path) -> None:
    text = "six==1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via flask\n"
    lock = read(tmp_path, text)
    assert requirements_txt(lock) == text.encode()
    assert [(pin.hashes, pin.because) for pin in lock.pins] == [
        (("sha256:aa", "sha256:bb"), "flask")
    ]


def test_a_file_that_pip_would_refuse_for_its_hashes(tmp_path: Path) -> None:
    said = refused(tmp_path, "six==1 --hash=sha256:aa\nidna==3\n")
    assert "requirements.txt:2: `idna==3` has no hash" in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("six", "`six` is not pinned to one version"),
        ("six>=1,<2", "is not pinned"),
        ("six==1.*", "is not pinned"),
        ("six @ git+https://h.example/six@main", "does not name a commit"),
        ("six @ git+https://h.example/six", "does not name a commit"),
        ("https://h.example/download/six", "without a package name"),
    ],
)
def test_an_open_line_is_noted_by_its_place_and_refused_when_strict(
    tmp_path: Path, line: str, said: str
) -> None:
    lock = read(tmp_path, f"\n{line}\n")
    (note,) = lock.notes
    assert note.startswith("requirements.txt:2: ")
    assert said in note
    with pytest.raises(LockError, match=r"requirements\.txt:2"):
        read(tmp_path, f"\n{line}\n", strict=True)


def test_a_constraint_pins_what_a_line_leaves_open(tmp_path: Path) -> None:
    lock = read(tmp_path, "six\n-c constraints.txt\n", constraints="Six==1.17.0\nidna==3\n")
    assert lock.notes == ()
    assert [pin.name for pin in lock.pins] == ["six"]


def test_included_files_are_read_and_listed(tmp_path: Path) -> None:
    lock = read(tmp_path, "-r base.txt\n-r more.txt\n", base="six==1\n", more="-r base.txt\nidna\n")
    assert [file.name for file in lock.files] == ["requirements.txt", "base.txt", "more.txt"]
    assert [pin.name for pin in lock.pins] == ["six", "idna"]
    assert lock.notes == ("more.txt:2: `idna` is not pinned to one version.",)


def test_what_cannot_be_chosen_from_it_is_noted(tmp_path: Path) -> None:
    read(tmp_path, "six==1\n")
    project = "[project]\nname = 'p'\n[project.optional-dependencies]\nplot = ['six']\n"
    (tmp_path / "pyproject.toml").write_text(project + SETTINGS)
    lock = read_there(tmp_path, extras=["plot"])
    assert "`extras` and `groups` have no effect" in lock.notes[0]
    with pytest.raises(LockError, match="There is no dependency group named `dev`"):
        read_there(tmp_path, groups=["dev"])


def test_hashes_are_all_or_an_error(tmp_path: Path) -> None:
    read(tmp_path, "six==1\nidna==2\n")
    with pytest.raises(LockError, match=r"requirements\.txt:1: `six==1` has no hash"):
        read_there(tmp_path, hashes=True)


def test_a_file_that_was_named_may_list_less_than_the_project_needs(tmp_path: Path) -> None:
    read(tmp_path, "six @ https://h.example/six-1-py3-none-any.whl\n")
    project = "[project]\nname = 'p'\ndependencies = ['flask', 'six @ https://h.example/six-1-py3-none-any.whl']\n"
    (tmp_path / "pyproject.toml").write_text(project + SETTINGS)
    said = "`flask` is not in requirements.txt."
    with pytest.raises(LockError, match="out of date") as caught:
        read_there(tmp_path)
    assert said in str(caught.value)
    line = 'requirements-file = "requirements.txt"'
    assert line in str(caught.value.hint)
    assert read_there(tmp_path, **{"requirements-file": "requirements.txt"}).notes == (said,)
    with pytest.raises(LockError, match="out of date") as caught:
        read_there(tmp_path, **{"requirements-file": "requirements.txt", "strict": True})
    assert line not in str(caught.value.hint)


class TestRefused:
    def test_everything_at_once_in_the_order_of_the_lines(self, tmp_path: Path) -> None:
        said = refused(
            tmp_path,
            """\
--index-url https://me:hunter2@index.example/simple
--find-links /opt/wheels
-e .
./libs/x
../libs/y.whl
x @ file:///opt/x
y @ git+https://token@h.example/y@0123456789
z @ http://localhost:8000/z.whl
this is bad
-r missing.txt
-r ../outside.txt
-r requirements.txt
--extra-index-url file:///opt/index
""",
        )
        numbered = [line.strip(" -") for line in said.splitlines() if "requirements.txt:" in line]
        assert [int(line.split(":")[1]) for line in numbered] == list(range(1, 14))
        for text in (
            "https://***@index.example/simple contains credentials",
            "/opt/wheels is a folder on this machine",
            "`-e .` is editable",
            "`./libs/x` is a path on this machine",
            "`../libs/y.whl` is a path on this machine",
            "only this machine can reach: file:///opt/x",
            "has credentials in its URL: git+https://***@h.example",
            "only this machine can reach: http://localhost:8000/z.whl",
            "`this is bad` is not a valid requirement",
            "does not exist",
            "requirements.txt includes itself",
        ):
            assert text in said
        assert "hunter2" not in said
        assert "token" not in said

    def test_an_include_outside_of_the_project(self, tmp_path: Path) -> None:
        root = tmp_path / "project"
        root.mkdir()
        (tmp_path / "outside.txt").write_text("six==1")
        assert "outside the project" in refused(root, "-r ../outside.txt\n")

    def test_what_is_not_text(self, tmp_path: Path) -> None:
        read(tmp_path, "")
        (tmp_path / "requirements.txt").write_bytes(b"# coding: nonsense\nsix==1\xff")
        config = configuration(tmp_path)
        found = find_lock(config)
        assert found is not None
        with pytest.raises(LockError, match="cannot be read"):
            read_lock(found, config, TARGET)


NAMES = st.from_regex(r"[A-Za-z]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True)
VERSIONS = st.from_regex(
    r"(0|[1-9][0-9]?)(\.[0-9]){0,3}((a|b|rc)[0-9]|\.post[0-9]|\+l[0-9])?", fullmatch=True
)
MARKERS = st.sampled_from(["", ' ; sys_platform == "win32"', " ; python_version<'3.12'"])
ENDS = st.sampled_from(["", "  # why", " \\\n    # why"])


LINES = st.lists(
    st.tuples(NAMES, VERSIONS, MARKERS, ENDS),
    max_size=8,
    unique_by=lambda line: re.sub(r"[-_.]+", "-", line[0]).lower(),
)


@given(lines=LINES)
def test_every_pinned_line_is_one_pin(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, str, str, str]]
) -> None:
    text = "".join(f"{name}=={version}{marker}{end}\n" for name, version, marker, end in lines)
    lock = read(tmp_path_factory.mktemp("lines"), text)
    assert lock.notes == ()
    assert [(Requirement(pin.requirement).name, pin.version) for pin in lock.pins] == [
        (name, version) for name, version, _, _ in lines
    ]
    assert lock.verbatim == text.encode()


class TestEncodings:
    """A file is read as pip reads it, and ships as UTF-8, which any installer reads."""

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "latin-1", "utf-8"])
    def test_one_that_says_its_encoding(self, tmp_path: Path, encoding: str) -> None:
        said = "" if encoding.startswith("utf-") else f"# -*- coding: {encoding} -*-\n"
        (tmp_path / "pyproject.toml").write_text(SETTINGS)
        text = f"{said}six==1.17  # caf\xe9\r\n"
        (tmp_path / "requirements.txt").write_bytes(text.encode(encoding))
        lock = read_there(tmp_path)
        assert [pin.requirement for pin in lock.pins] == ["six==1.17"]
        shipped = requirements_txt(lock).decode()
        assert shipped == text.replace("\r\n", "\n").replace("latin-1", "utf-8")

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            ("six==1 # caf\xe9".encode("latin-1"), "another encoding"),
            ("six==1".encode("utf-16-le"), "UTF-16"),
            (b"# coding: klingon\nsix==1\n", "not in klingon, which it declares"),
            (b"# coding: ascii\nsix==1 # caf\xc3\xa9\n", "not in ascii"),
            (b"\xff\xfesix", "not in utf-16"),
            (b"six==1\n\0", "NUL"),
        ],
    )
    def test_one_that_does_not(self, tmp_path: Path, data: bytes, said: str) -> None:
        (tmp_path / "pyproject.toml").write_text(SETTINGS)
        (tmp_path / "requirements.txt").write_bytes(data)
        with pytest.raises(LockError, match=said) as caught:
            read_there(tmp_path)
        assert "requirements.txt cannot be read" in str(caught.value)
        assert caught.value.hint == "Save requirements.txt as UTF-8."

    @given(data=st.binary(max_size=60))
    def test_any_bytes_are_read_or_refused(
        self, tmp_path_factory: pytest.TempPathFactory, data: bytes
    ) -> None:
        root = tmp_path_factory.mktemp("p")
        (root / "pyproject.toml").write_text(SETTINGS)
        (root / "requirements.txt").write_bytes(data)
        with contextlib.suppress(LockError):
            requirements_txt(read_there(root)).decode()


def test_no_message_repeats_a_long_line_whole(tmp_path: Path) -> None:
    for line in (
        f"six {'x' * 5000}",
        f"-e ./{'x' * 5000}",
        f"a @ git+https://h.example/{'x' * 5000}",
        f"a @ file:///{'x' * 5000}",
        f"--index-url https://me:pw@h.example/{'x' * 5000}",
        f"--find-links ./{'x' * 5000}",
    ):
        with pytest.raises(LockError) as caught:
            read(tmp_path, f"{line}\n", strict=True)
        assert max(map(len, str(caught.value).splitlines())) < 500
        assert "requirements.txt:1" in str(caught.value)


@pytest.mark.parametrize("user", ["${TOKEN}", "${USER}:${PASSWORD}", "__token__:${TOKEN_2}"])
def test_a_variable_is_no_credential(tmp_path: Path, user: str) -> None:
    lock = read(tmp_path, f"--index-url https://{user}@h.example/simple\nsix==1\n")
    assert user.encode() in requirements_txt(lock)
    assert "must be set on the server" in lock.notes[-1]
    sha = "0123456789"
    lock = read(tmp_path, f"six @ git+https://{user}@h.example/six@{sha}\n")
    assert user.encode() in requirements_txt(lock)


@pytest.mark.parametrize("user", ["me:hunter2", "hunter2", "${USER}:hunter2", "${hunter2}"])
def test_but_what_is_written_is(tmp_path: Path, user: str) -> None:
    for line in (f"--index-url https://{user}@h/simple", f"six @ git+https://{user}@h/six@0123456"):
        said = refused(tmp_path, f"{line}\n")
        assert "credentials" in said
        assert "hunter2" not in said


def test_the_packages_of_a_file_with_their_versions() -> None:
    text = """\
# made elsewhere
--index-url https://index.example/simple
FastAPI[all]==0.115.0 --hash=sha256:abc
six
numpy>=1,<2
pywin32==306 ; sys_platform == "win32"
pywin32==305 ; sys_platform != "win32"
mine @ https://ann:secret@files.example/mine-1.0-py3-none-any.whl
https://ann:secret@files.example/other-2.0-py3-none-any.whl
"""
    assert packages_in(text.encode()) == {
        "fastapi": "0.115.0",
        "six": "any version",
        "numpy": "<2,>=1",
        "pywin32": "306, 305",
        "mine": "https://***@files.example/mine-1.0-py3-none-any.whl",
        "https://***@files.example/other-2.0-py3-none-any.whl": (
            "https://***@files.example/other-2.0-py3-none-any.whl"
        ),
    }
    assert packages_in(b"") == {}
    assert packages_in(b"\xff\xfe\x00") is None
