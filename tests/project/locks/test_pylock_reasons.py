"""What a PEP 751 lock says beside its pins: what is built, who asks, what is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.pylocks import HEAD, PROJECT, lines, package, read, read_there

from hatch_connect.errors import LockError

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.project.pins import Lock

NEIGHBOUR = "[project]\nname = 'near'\nversion = '1'\ndependencies = {}\n"


def neighbour(folder: Path, name: str = "near", needs: tuple[str, ...] = ()) -> Path:
    folder.mkdir(parents=True)
    text = NEIGHBOUR.format(list(needs)).replace("near", name)
    (folder / "pyproject.toml").write_text(text)
    return folder


class TestNeighbours:
    def test_folders_and_files_go_into_the_bundle(self, tmp_path: Path) -> None:
        near = neighbour(tmp_path / "libs" / "near", needs=("six",))
        far = tmp_path / "far-1-py3-none-any.whl"
        far.touch()
        text = f"""
[[packages]]
name = "near"
directory = {{ path = "libs", subdirectory = "near", editable = true }}
[[packages]]
name = "far"
archive = {{ url = "{far.as_uri()}", hashes = {{ sha256 = "aa" }} }}
[[packages]]
name = "other-name"
directory = {{ path = "." }}
"""
        lock = read(tmp_path, text + package("six"))
        assert {one.name: one.path for one in lock.local} == {"near": near, "far": far}
        assert [(pin.requirement, pin.because) for pin in lock.pins] == [("six==1.0", "near")]
        assert [(one.name, one.because) for one in lock.omitted] == [
            ("other-name", "the project itself")
        ]

    def test_the_folder_is_where_the_project_says_not_where_a_colleague_had_it(
        self, tmp_path: Path
    ) -> None:
        root = tmp_path / "p"
        near, up = neighbour(root / "libs" / "near"), neighbour(tmp_path / "up", "up")
        wanted = ["near @ {root:uri}/libs/near", "up @ {root:parent:uri}/up", "gone @ {root:uri}/x"]
        project = PROJECT.replace("\nversion", f"\ndependencies = {wanted}\nversion", 1)
        (root / "pyproject.toml").write_text(project)
        (root / "pylock.toml").write_text(
            HEAD
            + "".join(
                f"[[packages]]\nname = '{name}'\ndirectory = {{ path = '/colleague/{name}' }}\n"
                for name in ("near", "up", "gone")
            )
        )
        with pytest.raises(LockError, match="gone is built from /colleague/gone"):
            read_there(root)
        (root / "x").mkdir()
        assert {one.name: one.path for one in read_there(root).local} == {
            "near": near,
            "up": up,
            "gone": root / "x",
        }

    def test_what_a_neighbour_needs_must_be_locked(self, tmp_path: Path) -> None:
        neighbour(tmp_path / "near", needs=("six>=2", "idna"))
        text = "[[packages]]\nname = 'near'\ndirectory = { path = 'near' }\n" + package("six")
        with pytest.raises(LockError) as caught:
            read(tmp_path, text)
        assert "`six>=2` does not allow 1.0, which the lock has. near asks for it." in str(
            caught.value
        )
        assert "`idna` is not in the lock. near asks for it." in str(caught.value)

    def test_members_of_a_hatch_workspace_are_no_names_on_an_index(self, tmp_path: Path) -> None:
        neighbour(tmp_path / "packages" / "member", "member", ("other", "six"))
        neighbour(tmp_path / "packages" / "other", "other")
        neighbour(tmp_path / "packages" / "unused", "unused")
        (tmp_path / "packages" / "none").mkdir()
        (tmp_path / "packages" / "broken").mkdir()
        (tmp_path / "packages" / "broken" / "pyproject.toml").write_text("?")
        environment = "[tool.hatch.envs.default]\nworkspace.members = ['packages/*', {x = 1}]\n"
        project = PROJECT.replace("\nversion", "\ndependencies = ['member']\nversion", 1)
        (tmp_path / "pyproject.toml").write_text(project + environment)
        (tmp_path / "pylock.toml").write_text(HEAD + package("member") + package("six"))
        lock = read_there(tmp_path)
        assert [(one.name, one.because) for one in lock.local] == [
            ("member", "the project"),
            ("other", "member"),
        ]
        assert lines(lock) == ["six==1.0"]


GROUPED = (
    "extras = ['viz']\ndependency-groups = ['default', 'docs', 'prod']\n"
    "default-groups = ['default', 'docs']\n"
    + package("main", "marker = \"'default' in dependency_groups\"")
    + package("markdown", "marker = \"'docs' in dependency_groups\"")
    + package(
        "seaborn",
        "marker = \"'viz' in extras and sys_platform != 'win32'\"",
        "dependencies = [{ name = 'main' }]",
    )
    + package("pywin32", "marker = \"sys_platform == 'win32'\"")
)


class TestReasons:
    def test_groups_of_the_project_are_for_development_unless_named(self, tmp_path: Path) -> None:
        assert lines(read(tmp_path, GROUPED)) == ["main==1.0"]
        assert lines(read(tmp_path, GROUPED, groups=["docs"])) == ["main==1.0", "markdown==1.0"]

    def test_each_says_why(self, tmp_path: Path) -> None:
        lock = read(tmp_path, GROUPED, groups=["docs"])
        assert {pin.name: pin.because for pin in lock.pins} == {
            "main": "seaborn",
            "markdown": "the group docs",
        }
        assert {one.name: one.because for one in lock.omitted} == {
            "seaborn": "only the extra viz asks for it",
            "pywin32": 'the lock has it only where sys_platform == "win32"',
        }

    def test_markers_are_kept_less_what_is_chosen(self, tmp_path: Path) -> None:
        lock = read(tmp_path, GROUPED, extras=["viz"], markers="keep")
        assert lines(lock) == [
            "main==1.0",
            "pywin32==1.0 ; sys_platform == 'win32'",
            "seaborn==1.0 ; sys_platform != 'win32'",
        ]
        assert lock.markers_kept
        assert [one.name for one in lock.omitted] == ["markdown"]

    def test_a_lock_for_one_minor_has_no_markers_to_keep(self, tmp_path: Path) -> None:
        text = "requires-python = '==3.11.*'\n" + package("a")
        assert not read(tmp_path, text, markers="keep").markers_kept


class TestFiles:
    def test_files_of_this_machine_stand_for_their_versions(self, tmp_path: Path) -> None:
        text = package("a").replace("https://h.example", "file:///opt/files")
        lock = read(tmp_path, text)
        assert lines(lock) == ["a==1.0"]
        assert "names files of this machine" in lock.notes[0]

    def test_a_package_for_other_pythons(self, tmp_path: Path) -> None:
        with pytest.raises(LockError, match=r"a 1\.0 needs Python >=3\.12"):
            read(tmp_path, package("a", "requires-python = '>=3.12'"))


def of_pdm(name: str, *wanted: str) -> str:
    return package(name) + f"[packages.tool.pdm]\ndependencies = {list(wanted)}\n"


class TestUnasked:
    LOCKED = of_pdm("flask", "Click>=8") + of_pdm("click") + of_pdm("old")

    def read(self, root: Path, dependencies: list[str], text: str = LOCKED) -> Lock:
        project = PROJECT.replace("\nversion", f"\ndependencies = {dependencies}\nversion", 1)
        (root / "pyproject.toml").write_text(project)
        (root / "pylock.toml").write_text(HEAD + text)
        return read_there(root)

    def test_what_nothing_asks_for_any_more_is_stale(self, tmp_path: Path) -> None:
        with pytest.raises(LockError, match="`old` is in the lock only"):
            self.read(tmp_path, ["flask"])
        lock = self.read(tmp_path, ["flask", "old"])
        assert {pin.name: pin.because for pin in lock.pins} == {
            "flask": "the project",
            "click": "flask",
            "old": "the project",
        }

    def test_where_extras_may_ask_nobody_can_tell(self, tmp_path: Path) -> None:
        assert len(self.read(tmp_path, ["flask[async]"]).pins) == 3

    def test_a_neighbour_asks_too(self, tmp_path: Path) -> None:
        neighbour(tmp_path / "near", needs=("old",))
        text = f"{self.LOCKED}[[packages]]\nname = 'near'\ndirectory = {{ path = 'near' }}\n"
        assert len(self.read(tmp_path, ["flask", "near"], text).pins) == 3
        (tmp_path / "near" / "pyproject.toml").unlink()
        assert len(self.read(tmp_path, ["flask", "near"], text).pins) == 3
