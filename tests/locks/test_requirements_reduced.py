"""Requirements files reduced to pins, with `compile-requirements = true`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from support.projects import configuration

from hatch_connect.bundle.packages import requirements_txt
from hatch_connect.errors import LockError
from hatch_connect.locks import find_lock, read_lock
from hatch_connect.project.target import Target

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.locks.lock import Lock

PROJECT = """\
[project]
name = "own"
version = "1"
{}
[tool.hatch-connect]
app-mode = "fastapi"
entrypoint = "a"
compile-requirements = true
"""
NEIGHBOUR = "[project]\nname = 'Near.By'\nversion = '1'\ndependencies = ['six']\n"


def read(
    root: Path,
    text: str,
    *,
    more: str = "",
    python: str = "3.11",
    **asked: object,
) -> Lock:
    root.mkdir(exist_ok=True)
    (root / "pyproject.toml").write_text(PROJECT.format(more))
    (root / "requirements.txt").write_text(text)
    config = configuration(root, overrides=asked)
    found = find_lock(config)
    assert found is not None
    return read_lock(found, config, Target(python=python, machine="x86_64"))


def requirements(lock: Lock) -> list[str]:
    text = requirements_txt(lock).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


def refused(root: Path, text: str, **asked: str) -> str:
    with pytest.raises(LockError) as caught:
        read(root, text, **asked)
    return str(caught.value)


def neighbour(root: Path) -> Path:
    folder = root / "libs" / "near"
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(NEIGHBOUR)
    return folder


def test_lines_are_sorted_normalized_and_chosen_for_the_target(tmp_path: Path) -> None:
    (tmp_path / "limits.txt").write_text("idna==3.10\n")
    lock = read(
        tmp_path,
        """\
--index-url https://index.example/simple
--find-links /opt/wheels
Zope.Interface == 7.0 --hash=sha256:aa
flask[async]==3.0 ; python_version >= "3.8"
    # via
    #   -r requirements.in
    #   dash
colorama==0.4 ; sys_platform == "win32"
six==1.17 ; python_full_version >= "3.11.4"
-c limits.txt
idna
""",
    )
    assert requirements(lock) == [
        "flask[async]==3.0",
        "idna==3.10",
        'six==1.17 ; python_full_version >= "3.11.4"',
        "zope-interface==7.0",
    ]
    assert {pin.name: pin.because for pin in lock.pins}["flask"] == "-r requirements.in, dash"
    (left_out,) = lock.omitted
    assert left_out.name == "colorama"
    assert "sys_platform" in left_out.because


def test_markers_indexes_and_hashes_are_kept_on_demand(tmp_path: Path) -> None:
    text = (
        "--extra-index-url https://index.example/simple/\n"
        "b==1 ; sys_platform == 'win32' \\\n    --hash=sha256:bb\na==1 --hash=sha256:aa\n"
    )
    asked = {"markers": "keep", "index-urls": "keep", "hashes": True}
    lock = read(tmp_path, text, **asked)  # type: ignore[arg-type] # as pyproject.toml has them
    assert requirements(lock) == [
        "--extra-index-url https://index.example/simple",
        "a==1 \\",
        "    --hash=sha256:aa",
        'b==1 ; sys_platform == "win32" \\',
        "    --hash=sha256:bb",
    ]
    assert "https://index.example/simple" in lock.notes[0]


def test_neighbours_go_into_the_bundle_and_the_project_is_no_line(tmp_path: Path) -> None:
    folder = neighbour(tmp_path)
    (tmp_path / "wheels").mkdir()
    wheel = tmp_path / "wheels" / "tool-2.0-py3-none-any.whl"
    wheel.touch()
    lock = read(
        tmp_path,
        f"-e .\n-e ./libs/near[extra]\n./wheels/{wheel.name}\n"
        f"own @ {tmp_path.as_uri()}\nsix==1.17\n",
    )
    assert requirements(lock) == ["six==1.17"]
    assert {one.name: one.path for one in lock.local} == {"near-by": folder, "tool": wheel}
    assert {one.because for one in lock.omitted} == {"the project itself"}


def test_what_a_neighbour_needs_must_be_in_the_list(tmp_path: Path) -> None:
    neighbour(tmp_path)
    assert "`six` is not in requirements.txt. It is required by near-by." in refused(
        tmp_path, "./libs/near\n"
    )


def test_repositories_and_urls_get_their_names(tmp_path: Path) -> None:
    lock = read(
        tmp_path,
        "-e git+https://h.example/a@0123456789abcdef#egg=A_b\n"
        "https://h.example/six-1.17.0-py2.py3-none-any.whl ; python_version > '3'\n"
        "https://h.example/toolz-1.0.tar.gz#sha256=00\n",
    )
    assert requirements(lock) == [
        "a-b @ git+https://h.example/a@0123456789abcdef#egg=A_b",
        "six @ https://h.example/six-1.17.0-py2.py3-none-any.whl",
        "toolz @ https://h.example/toolz-1.0.tar.gz#sha256=00",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("six\n", "requirements.txt:1: `six` is not pinned"),
        ("six==1\nsix==2\n", "requirements.txt:2: `six==2` contradicts `six==1`"),
        ("./nowhere\n", "does not exist"),
        ("./empty\n", "has no name in a [project] table"),
        ("a @ git+https://h.example/a@main\n", "does not name a commit"),
        ("a @ https://h.example/a-1-cp311-cp311-win32.whl\n", "has no wheel for CPython 3.11"),
        ("a @ https://h.example/a-1.tar.gz?token=hunter2\n", "has a `token` in its URL"),
        ("-c limits.txt\nidna==4\n", "`idna==4` contradicts `idna==3.10` of limits.txt:1"),
    ],
)
def test_what_cannot_be_reduced(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "limits.txt").write_text("idna==3.10\n")
    found = refused(tmp_path, text)
    assert said in found
    assert "hunter2" not in found


def test_a_stale_file_names_what_differs(tmp_path: Path) -> None:
    found = refused(tmp_path, "flask==2.0\n", more="dependencies = ['flask>=3', 'dash']\n")
    assert "`flask>=3` does not allow 2.0, which requirements.txt has." in found
    assert "`dash` is not in requirements.txt." in found


def test_two_lines_of_one_name_may_be_for_two_systems(tmp_path: Path) -> None:
    lock = read(tmp_path, "six==1 ; sys_platform == 'win32'\nsix==2 ; sys_platform != 'win32'\n")
    assert requirements(lock) == ["six==2"]


SYSTEMS = st.sampled_from(["linux", "win32", "darwin"])
MINORS = st.sampled_from(["3.9", "3.11", "3.12"])
ATOMS = st.one_of(
    st.builds(lambda s, o: f"sys_platform {o} '{s}'", SYSTEMS, st.sampled_from(["==", "!="])),
    st.builds(
        lambda v, o: f"python_version {o} '{v}'", MINORS, st.sampled_from(["<", ">=", "==", "~="])
    ),
    st.just("extra == 'x'"),
)
MARKERS = st.recursive(
    ATOMS,
    lambda inner: st.builds(
        lambda a, b, o: f"({a} {o} {b})", inner, inner, st.sampled_from(["and", "or"])
    ),
    max_leaves=6,
)


@given(marker=MARKERS, python=st.sampled_from(["3.9", "3.11", "3.12"]))
def test_a_line_is_a_pin_exactly_where_its_marker_holds(
    tmp_path_factory: pytest.TempPathFactory, marker: str, python: str
) -> None:
    root = tmp_path_factory.mktemp("marker")
    lock = read(root, f"six==1 ; {marker}\n", python=python)
    parsed = Requirement(f"six ; {marker}").marker
    assert parsed is not None
    environment = {**Target(python=python, machine="x86_64").environment(), "extra": ""}
    assert len(lock.pins) == parsed.evaluate(environment)
    assert len(lock.omitted) == 1 - len(lock.pins)


WORDS = ("six", "==1", "@", "git+", "-e ", "-r ", "-c ", "./x", "[a]", "#egg=a", "${X}", "C:\\x")
PLACES = ("https://h.example/a-1-py3-none-any.whl", "file:///x", "https://me:hunter2@h")
SIGNS = (*" ;#()'=\t\x00é\n", "\\\n", "python_version", "<'3'", "--hash=sha256:a", "--index-url ")
PIECES = st.sampled_from((*WORDS, *PLACES, *SIGNS))


def read_or_refused(root: Path) -> tuple[Lock | None, str]:
    config = configuration(root)
    found = find_lock(config)
    assert found is not None
    try:
        return read_lock(found, config, Target(python="3.11", machine="x86_64")), ""
    except LockError as error:
        return None, str(error)


@given(text=st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join)))
@pytest.mark.parametrize("reduce", ["true", "false"])
def test_whatever_a_file_holds_is_read_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, reduce: str, text: str
) -> None:
    root = tmp_path_factory.mktemp("any")
    (root / "pyproject.toml").write_text(PROJECT.format("").replace("true", reduce))
    (root / "requirements.txt").write_bytes(text.encode("utf-8", "surrogatepass"))
    lock, said = read_or_refused(root)
    assert "https://me:hunter2@h" not in said
    if lock is not None and reduce == "true":
        assert all(Requirement(pin.requirement).name for pin in lock.pins)


def test_the_project_itself_is_never_a_line(tmp_path: Path) -> None:
    lines = "Own==1\nown @ https://h.example/own-1.tar.gz\nown\nsix==1.17\n"
    lock = read(tmp_path, lines)
    assert requirements(lock) == ["six==1.17"]
    assert {one.because for one in lock.omitted} == {"the project itself"}


def test_a_line_that_is_not_for_the_target_is_not_judged(tmp_path: Path) -> None:
    for line in (
        "pywin32 ; sys_platform == 'win32'",
        "a @ https://h.example/a-1-cp311-cp311-win_amd64.whl ; sys_platform == 'win32'",
        "a @ git+https://h.example/a@main ; sys_platform == 'win32'",
    ):
        assert requirements(read(tmp_path, f"{line}\nsix==1.17\n")) == ["six==1.17"]
        asked: dict[str, object] = {"compile-requirements": False}
        config = configuration(tmp_path, overrides=asked)
        found = find_lock(config)
        assert found is not None
        written = read_lock(found, config, Target(python="3.11", machine="x86_64"))
        assert written.notes == ()
    assert "not pinned" in refused(tmp_path, "pywin32 ; sys_platform == 'win32'", markers="keep")


def test_the_list_changes_only_when_a_package_does(tmp_path: Path) -> None:
    first = requirements_txt(read(tmp_path, "six==1.17\nidna==3.1\n"))
    other = read(tmp_path, "# a comment\r\nidna==3.1\r\nsix==1.17\r\n", python="3.12")
    assert requirements_txt(other) == first
    assert requirements_txt(read(tmp_path, "six==1.18\nidna==3.1\n")) != first
