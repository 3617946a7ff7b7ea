"""What a `uv.lock` says beside its pins: who is left out, what is built, what is kept."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest
from support.uvlocks import DATA, copy, read

from hatch_connect.errors import LockError

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.project.pins import Lock


class TestLeftOut:
    def because(self, lock: Lock) -> dict[str, str]:
        return {f"{one.name} {one.version}": one.because for one in lock.omitted}

    def test_each_says_why(self) -> None:
        found = self.because(read(DATA / "forked"))
        assert found["forked-project 1.0"] == "the project itself"
        assert found[f"pytest {_version('pytest')}"] == ("only the group dev asks for it")
        assert (
            found[f"colorama {_version('colorama')}"]
            == "the project asks for it only where sys_platform == 'win32'"
        )
        assert found[f"toolz {_version('toolz')}"] == "only the extra all asks for it"
        assert found["six 1.17.0"] == (
            "the project asks for it only where python_full_version >= '3.12'"
        )
        assert found[f"pluggy {_version('pluggy')}"] == (
            "only pytest asks for it, which is left out"
        )

    def test_what_is_kept_with_its_marker_is_not_left_out(self) -> None:
        lock = read(DATA / "forked", markers="keep")
        assert lock.markers_kept
        assert "colorama" not in {one.name for one in lock.omitted}
        text = lock.requirements().decode()
        assert f"colorama=={_version('colorama')} ; sys_platform == 'win32'\n" in text

    def test_another_member_of_the_workspace(self) -> None:
        found = self.because(read(DATA / "workspace" / "member"))
        assert found["leader 1.0"] == "another member of the workspace"
        assert found["pathdep 0.1"] == "only leader asks for it, which is left out"


def _version(name: str) -> str:
    packages = tomllib.loads((DATA / "forked/uv.lock").read_text())["package"]
    return str(next(one["version"] for one in packages if one["name"] == name))


class TestIndexes:
    def test_they_are_written_on_demand(self, tmp_path: Path) -> None:
        change = ("uv.lock", "https://pypi.org/simple", "https://index.example/simple")
        lock = read(copy("forked", tmp_path, change), **{"index-urls": "keep"})
        text = lock.requirements().decode()
        assert "\n--index-url https://index.example/simple\n" in text

    def test_beside_the_public_one_it_is_an_extra_one(self, tmp_path: Path) -> None:
        path = copy("forked", tmp_path) / "uv.lock"
        old, new = "https://pypi.org/simple", "https://index.example/simple"
        path.write_text(path.read_text().replace(old, new, 1))
        text = read(tmp_path, **{"index-urls": "keep"}).requirements().decode()
        assert "\n--extra-index-url https://index.example/simple\n" in text

    def test_one_of_this_machine_is_never_written(self, tmp_path: Path) -> None:
        change = ("uv.lock", "https://pypi.org/simple", "file:///opt/simple")
        lock = read(copy("forked", tmp_path, change), **{"index-urls": "keep"})
        assert lock.indexes == ()
        assert "file:///opt/simple" in lock.notes[0]


class TestNeighbours:
    def test_one_whose_project_has_changed(self, tmp_path: Path) -> None:
        change = ("libs/pathdep/pyproject.toml", 'version = "0.1"', 'version = "0.1"\n{}')
        more = change[2].format('dependencies = ["flask"]')
        root = copy("workspace", tmp_path)
        path = root / change[0]
        text = path.read_text()
        kept = [line for line in text.splitlines() if not line.startswith("dependencies")]
        path.write_text("\n".join(kept).replace(change[1], more))
        with pytest.raises(
            LockError, match=r"stale: .*libs/pathdep/pyproject\.toml says"
        ) as caught:
            read(root)
        assert "`flask` is not in the lock" in str(caught.value)

    def test_a_workspace_without_a_project_of_its_own_ships_its_members(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "pyproject.toml").write_text("[tool.uv.workspace]\nmembers = ['a', 'b']\n")
        (tmp_path / "uv.lock").write_text(
            "version = 1\nrequires-python = '>=3.11'\n[manifest]\nmembers = ['a', 'b']\n"
            "[[package]]\nname = 'a'\nversion = '1'\nsource = { editable = 'a' }\n"
            "dependencies = [{ name = 'six' }]\n[package.metadata]\n"
            "requires-dist = [{ name = 'six' }]\n"
            "[[package]]\nname = 'b'\nversion = '1'\nsource = { virtual = 'b' }\n"
            "[[package]]\nname = 'six'\nversion = '1.17.0'\n"
            "source = { registry = 'https://pypi.org/simple' }\n"
            "sdist = { url = 'https://h.example/six-1.17.0.tar.gz', hash = 'sha256:00' }\n"
        )
        for name, wanted in (("a", ["six"]), ("b", [])):
            (tmp_path / name).mkdir()
            project = f"[project]\nname = '{name}'\nversion = '1'\ndependencies = {wanted}\n"
            (tmp_path / name / "pyproject.toml").write_text(project)
        lock = read(tmp_path)
        assert [one.name for one in lock.local] == ["a"]
        assert [pin.requirement for pin in lock.pins] == ["six==1.17.0"]


class TestRefused:
    def test_all_that_is_wrong_is_told_at_once(self, tmp_path: Path) -> None:
        root = copy(
            "windows",
            tmp_path,
            ("pyproject.toml", '"six"', '"six", "flask"'),
            ("uv.lock", "https://pypi.org/simple", "https://me:hunter2@h.example/simple"),
        )
        with pytest.raises(LockError) as caught:
            read(root, "3.12", extras=["nothing"])
        for said in (
            "`flask` is not in the lock",
            "There is no extra `nothing`",
            "https://***@h.example/simple",
            "has no wheel for CPython 3.12",
        ):
            assert said in caught.value.message
        assert "uv lock" in str(caught.value.hint)
        assert "hunter2" not in str(caught.value)

    def test_a_lock_for_other_systems(self, tmp_path: Path) -> None:
        line = "supported-markers = [\"sys_platform == 'win32'\"]\n"
        root = copy("forked", tmp_path, ("uv.lock", "[[package]]", f"{line}[[package]]"))
        text = (root / "uv.lock").read_text()
        first, *rest = text.split(line)
        (root / "uv.lock").write_text(
            first.replace("conflicts = ", f"{line}conflicts = ", 1) + "".join(rest)
        )
        with pytest.raises(LockError, match="was made for other machines"):
            read(root)

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ('name = "six"', 'name = "six==1\\n--index-url https://h"', "damaged|valid"),
            ('version = "1.17.0"', 'version = "1.17.0\\nevil==1"', "gives no valid requirement"),
            ('requires-python = ">=3.11"', 'requires-python = "never"', "no range of Python"),
            ('requires-python = ">=3.11"', "requires-python = 3", "is damaged"),
        ],
    )
    def test_a_forged_lock(self, tmp_path: Path, old: str, new: str, said: str) -> None:
        with pytest.raises(LockError, match=said):
            read(copy("windows", tmp_path, ("uv.lock", old, new)), "3.12")

    def test_a_repository_without_a_commit(self, tmp_path: Path) -> None:
        root = copy("repository", tmp_path)
        text = (root / "uv.lock").read_text()
        text = re.sub(r'(source = { git = "[^"#]*)#[^"]*"', r'\1"', text)
        (root / "uv.lock").write_text(text)
        with pytest.raises(LockError, match="names no commit"):
            read(root)

    def test_what_is_nested_without_end(self, tmp_path: Path) -> None:
        root = copy("windows", tmp_path)
        (root / "uv.lock").write_text(f"version = 1\nx = {'[' * 4000}{']' * 4000}\n")
        with pytest.raises(LockError, match="nested deeper"):
            read(root)
