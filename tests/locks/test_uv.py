"""What a `uv.lock` says beside its pins: who is left out, what is built, what is kept."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from support.uvlocks import DATA, copy, read

from hatch_connect.bundle.packages import requirements_txt
from hatch_connect.errors import LockError
from hatch_connect.project.target import Target

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.locks.lock import Lock

CIRCLE = """
[project]
name = "host"
version = "1"
requires-python = ">=3.11"
dependencies = ["base", "plugin"]
[tool.hatch-connect]
app-mode = "fastapi"
entrypoint = "a"
"""
CIRCLE_LOCK = """
version = 1
requires-python = ">=3.11"
[[package]]
name = "host"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "base" }, { name = "plugin" }]
[package.metadata]
requires-dist = [{ name = "base" }, { name = "plugin" }]
[[package]]
name = "base"
version = "1"
source = { registry = "https://pypi.org/simple" }
wheels = [{ url = "https://h.example/base-1-py3-none-any.whl", hash = "sha256:aa" }]
[[package]]
name = "plugin"
version = "1"
source = { registry = "https://pypi.org/simple" }
dependencies = [{ name = "base" }, { name = "host" }]
wheels = [{ url = "https://h.example/plugin-1-py3-none-any.whl", hash = "sha256:bb" }]
"""

_EXPORT = (
    "--format requirements.txt --frozen --offline --no-hashes --no-emit-project"
    " --no-default-groups --no-annotate --no-header --no-config"
)

EDGE = '{ name = "six" },\n]\n\n'


def lines(lock: Lock) -> set[str]:
    text = requirements_txt(lock).decode()
    return {line for line in text.splitlines() if not line.startswith("#")}


def exported(root: Path, target: Target, *options: str) -> set[str]:
    """Return what uv itself would install, as names and versions or URLs."""
    uv = pytest.importorskip("uv")
    done = subprocess.run(
        [uv.find_uv_bin(), "export", *_EXPORT.split(), *options],
        cwd=root,
        env={**os.environ, "UV_CACHE_DIR": str(root / ".cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    requirements = map(Requirement, done.stdout.splitlines())
    return {
        _called(requirement)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate(target.environment())
    }


def _called(requirement: Requirement) -> str:
    return f"{requirement.name} {requirement.url or requirement.specifier}"


def pinned(root: Path, target: Target, **asked: object) -> set[str]:
    requirements = map(Requirement, lines(read(root, target.python, **asked)))
    return {
        _called(requirement)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate(target.environment())
    }


class TestAgainstUv:
    @pytest.mark.parametrize("python", ["3.11.0", "3.11.9", "3.12.1", "3.14.0"])
    @pytest.mark.parametrize(
        ("extras", "groups"),
        [
            ([], []),
            (["old"], []),
            (["new", "all"], ["docs"]),
            (["plot", "empty"], ["dev", "lint"]),
        ],
    )
    def test_forks_markers_extras_and_groups(
        self, tmp_path: Path, python: str, extras: list[str], groups: list[str]
    ) -> None:
        root = copy("forked", tmp_path)
        options = [part for extra in extras for part in ("--extra", extra)]
        options += [part for group in groups for part in ("--group", group)]
        target = Target(python=python, machine="x86_64")
        wanted = exported(root, target, *options)
        assert wanted
        assert pinned(root, target, extras=extras, groups=groups) == wanted
        kept = pinned(root, target, extras=extras, groups=groups, markers="keep")
        assert kept == wanted

    def test_repositories_and_urls(self, tmp_path: Path) -> None:
        root = copy("repository", tmp_path)
        target = Target(python="3.11.3", machine="x86_64")
        assert pinned(root, target) == exported(root, target)


class TestChoice:
    def test_a_pin_for_some_patches_only_says_for_which(self) -> None:
        found = lines(read(DATA / "forked"))
        assert 'async-timeout==5.0.1 ; python_full_version < "3.11.3"' in found
        found = lines(read(DATA / "forked", "3.12"))
        assert not any("async-timeout" in line for line in found)

    def test_neither_the_project_nor_its_development_is_a_line(self) -> None:
        names = {pin.name for pin in read(DATA / "forked").pins}
        assert not {"forked-project", "pytest", "markdown", "colorama"} & names

    def test_each_pin_knows_who_asks_for_it(self) -> None:
        lock = read(DATA / "forked", extras=["plot"], groups=["lint"])
        because = {pin.name: pin.because for pin in lock.pins}
        assert because["cycler"] == "the extra plot"
        assert because["pyflakes"] == "the group lint"
        assert because["jinja2"] == "the project"
        assert because["idna"] == "anyio, httpx"

    @pytest.mark.parametrize("markers", ["target", "keep"])
    def test_what_depends_on_the_project_does_not_ask_in_its_name(
        self, tmp_path: Path, markers: str
    ) -> None:
        # pytest's own lock looks like this, with its plugins.
        (tmp_path / "pyproject.toml").write_text(CIRCLE)
        (tmp_path / "uv.lock").write_text(CIRCLE_LOCK)
        asked = {pin.name: pin.because for pin in read(tmp_path, markers=markers).pins}
        assert asked == {"base": "plugin, the project", "plugin": "the project"}

    def test_a_member_of_a_workspace_has_its_own_dependencies_only(self) -> None:
        found = lines(read(DATA / "workspace" / "member"))
        assert [line.partition("==")[0] for line in found] == ["toolz"]

    def test_hashes_are_kept_when_asked_for(self) -> None:
        plain, hashed = read(DATA / "forked"), read(DATA / "forked", hashes=True)
        assert not any(pin.hashes for pin in plain.pins)
        assert all(pin.hashes for pin in hashed.pins)
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", h) for p in hashed.pins for h in p.hashes)

    def test_hashes_are_all_or_an_error(self) -> None:
        with pytest.raises(LockError, match=r"gitdep 0\.3 has no hash"):
            read(DATA / "repository", hashes=True)

    def test_the_same_lock_gives_the_same_bytes_anywhere(self, tmp_path: Path) -> None:
        other, _target = copy("forked", tmp_path / "a b"), Target(python="3.11", machine="x86_64")
        assert requirements_txt(read(DATA / "forked")) == requirements_txt(read(other))

    def test_another_index_is_noted(self, tmp_path: Path) -> None:
        change = ("uv.lock", "https://pypi.org/simple", "https://index.example/simple")
        (note,) = read(copy("forked", tmp_path, change)).notes
        assert "https://index.example/simple" in note

    def test_credentials_of_an_index_are_refused_and_not_shown(self, tmp_path: Path) -> None:
        change = ("uv.lock", "https://pypi.org/simple", "https://me:hunter2@index.example/simple")
        with pytest.raises(LockError, match=r"https://\*\*\*@index\.example/simple") as caught:
            read(copy("forked", tmp_path, change))
        assert "hunter2" not in str(caught.value)

    def test_a_package_without_a_wheel_is_noted_when_it_has_an_sdist(self, tmp_path: Path) -> None:
        change = ("uv.lock", "six-1.17.0-py2.py3-none-any.whl", "six-1.17.0-cp27-none-win32.whl")
        lock = read(copy("forked", tmp_path, change), "3.12")
        assert "six 1.17.0 has no wheel" in "".join(lock.notes)


class TestRefused:
    def test_a_package_for_another_system(self) -> None:
        with pytest.raises(LockError) as caught:
            read(DATA / "windows", "3.12")
        for text in ("pywin32", "CPython 3.12 on linux x86_64", "cp312-cp312-win_amd64"):
            assert text in str(caught.value)

    def test_a_wheel_by_url_for_another_system(self, tmp_path: Path) -> None:
        wheel = "iniconfig-2.1.0-py3-none-any.whl"
        changes = [
            (file, wheel, wheel.replace("any", "win32")) for file in ("uv.lock", "pyproject.toml")
        ]
        with pytest.raises(LockError, match=r"iniconfig 2\.1\.0 has no wheel"):
            read(copy("repository", tmp_path, *changes))

    def test_neighbours_are_built_from_their_folders_and_are_no_lines(self) -> None:
        lock = read(DATA / "workspace")
        assert [(one.name, one.path, one.because) for one in lock.local] == [
            ("member", DATA / "workspace/member", "the project"),
            ("pathdep", DATA / "workspace/libs/pathdep", "the project"),
        ]
        assert not {"member", "pathdep", "leader"} & {pin.name for pin in lock.pins}

    def test_a_neighbour_that_is_not_there(self, tmp_path: Path) -> None:
        root = copy("workspace", tmp_path)
        shutil.rmtree(root / "libs")
        with pytest.raises(
            LockError, match=r"pathdep 0\.1 is built from libs/pathdep, which does not"
        ):
            read(root)

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("https://me:hunter2@github.com/example/gitdep", "has credentials"),
            ("https://localhost/example/gitdep", "only this machine"),
            ("file:///example/gitdep", "only this machine"),
        ],
    )
    def test_urls_that_may_not_be_shipped(self, tmp_path: Path, url: str, said: str) -> None:
        old = "https://github.com/example/gitdep"
        changes = [(file, old, url) for file in ("uv.lock", "pyproject.toml")]
        with pytest.raises(LockError, match=said) as caught:
            read(copy("repository", tmp_path, *changes))
        assert "hunter2" not in str(caught.value)

    def test_conflicting_extras(self) -> None:
        with pytest.raises(
            LockError, match=r"markupsafe is required in more than one version: 2\.1\.5, 3"
        ) as caught:
            read(DATA / "forked", extras=["old", "new"])
        assert "Only one of the extra `new` and the extra `old` can be installed" in str(
            caught.value
        )

    def test_unknown_extras_and_groups(self) -> None:
        with pytest.raises(LockError) as caught:
            read(DATA / "forked", extras=["nope"], groups=["nada"])
        assert "no extra named `nope` (available: all, empty, new, old, plot)" in str(caught.value)
        assert "no dependency group named `nada` (available: dev, docs, lint)" in str(caught.value)

    def test_a_python_that_it_was_not_made_for(self) -> None:
        with pytest.raises(LockError, match=r"for Python >=3\.11, but 3\.10 was requested"):
            read(DATA / "forked", "3.10")

    def test_a_newer_format(self, tmp_path: Path) -> None:
        root = copy("windows", tmp_path, ("uv.lock", "version = 1\n", "version = 2\n"))
        with pytest.raises(LockError, match="version 2 of uv's format"):
            read(root)

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ('name = "six"\nversion', 'title = "six"\nversion', "is damaged"),
            (EDGE, EDGE.replace("six", "seven"), "0 packages match `seven`"),
            (EDGE, EDGE.replace('"six"', '"six", marker = "x y"'), "is not a valid marker"),
            ("requires-dist = [", "requires-dist = [3, ", "is damaged"),
            ('name = "windows"', 'name = "doors"', "is not the lock of the project `windows`"),
            ('virtual = "."', 'virtual = "other"', "it has no project for this folder"),
        ],
    )
    def test_a_damaged_lock(self, tmp_path: Path, old: str, new: str, said: str) -> None:
        with pytest.raises(LockError, match=said):
            read(copy("windows", tmp_path, ("uv.lock", old, new)))


class TestLeftOut:
    def because(self, lock: Lock) -> dict[str, str]:
        return {f"{one.name} {one.version}": one.because for one in lock.omitted}

    def test_each_says_why(self) -> None:
        found = self.because(read(DATA / "forked"))
        assert found["forked-project 1.0"] == "the project itself"
        assert found[f"pytest {_version('pytest')}"] == ("only required by the group dev")
        assert (
            found[f"colorama {_version('colorama')}"]
            == "the project only requires it where sys_platform == 'win32'"
        )
        assert found[f"toolz {_version('toolz')}"] == "only required by the extra all"
        assert found["six 1.17.0"] == (
            "the project only requires it where python_full_version >= '3.12'"
        )
        assert found[f"pluggy {_version('pluggy')}"] == (
            "only required by pytest, which is left out"
        )

    def test_what_is_kept_with_its_marker_is_not_left_out(self) -> None:
        lock = read(DATA / "forked", markers="keep")
        assert "colorama" not in {one.name for one in lock.omitted}
        text = requirements_txt(lock).decode()
        assert f"colorama=={_version('colorama')} ; sys_platform == 'win32'\n" in text

    def test_another_member_of_the_workspace(self) -> None:
        found = self.because(read(DATA / "workspace" / "member"))
        assert found["leader 1.0"] == "another workspace member"
        assert found["pathdep 0.1"] == "only required by leader, which is left out"


def _version(name: str) -> str:
    packages = tomllib.loads((DATA / "forked/uv.lock").read_text())["package"]
    return str(next(one["version"] for one in packages if one["name"] == name))


class TestIndexes:
    def test_they_are_written_on_demand(self, tmp_path: Path) -> None:
        change = ("uv.lock", "https://pypi.org/simple", "https://index.example/simple")
        lock = read(copy("forked", tmp_path, change), **{"index-urls": "keep"})
        text = requirements_txt(lock).decode()
        assert "\n--index-url https://index.example/simple\n" in text

    def test_beside_the_public_one_it_is_an_extra_one(self, tmp_path: Path) -> None:
        path = copy("forked", tmp_path) / "uv.lock"
        old, new = "https://pypi.org/simple", "https://index.example/simple"
        path.write_text(path.read_text().replace(old, new, 1))
        text = requirements_txt(read(tmp_path, **{"index-urls": "keep"})).decode()
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
            LockError, match=r"out of date: .*libs/pathdep/pyproject\.toml"
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


class TestRefusedAtOnce:
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
            "There is no extra named `nothing`",
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
        with pytest.raises(LockError, match="was made for other platforms"):
            read(root)

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ('name = "six"', 'name = "six==1\\n--index-url https://h"', "damaged|valid"),
            ('version = "1.17.0"', 'version = "1.17.0\\nevil==1"', "is not a valid requirement"),
            (
                'requires-python = ">=3.11"',
                'requires-python = "never"',
                "not a valid range of Python",
            ),
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
        with pytest.raises(LockError, match="nested too deeply"):
            read(root)
