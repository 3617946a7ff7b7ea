"""What a PEP 751 lock says beside its pins: what is built, who asks, what is left out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.pylocks import HEAD, PROJECT, lines, package, read, read_there

from hatch_connect.errors import LockError

if TYPE_CHECKING:
    from hatch_connect.locks.lock import Lock

DATA = Path(__file__).parent / "data"

NEIGHBOUR = "[project]\nname = 'near'\nversion = '1'\ndependencies = {}\n"

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


class TestOfHatch:
    def test_the_lock_of_the_default_environment(self) -> None:
        lock = read_there(DATA / "hatch")
        assert [line.partition("==")[0] for line in lines(lock)] == [
            "async-timeout",
            "jinja2",
            "markupsafe",
            "redis",
        ]
        assert lines(lock)[0].endswith(' ; python_full_version < "3.11.3"')
        assert lock.path == DATA / "hatch" / "pylock.toml"
        assert lock.sha256

    def test_the_lock_of_another_environment(self) -> None:
        lock = read_there(DATA / "hatch", **{"hatch-env": "prod"})
        assert lock.path == DATA / "hatch" / "pylock.prod.toml"
        assert "six" in {pin.name for pin in lock.pins}

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("jinja2>=3", "jinja2>=99", "`jinja2>=99` does not allow"),
            ('"redis"', '"redis", "flask; os_name == \'posix\'"', "`flask"),
        ],
    )
    def test_one_that_no_longer_satisfies_the_project_is_stale(
        self, tmp_path: Path, old: str, new: str, said: str
    ) -> None:
        shutil.copytree(DATA / "hatch", tmp_path, dirs_exist_ok=True)
        text = (tmp_path / "pyproject.toml").read_text()
        (tmp_path / "pyproject.toml").write_text(text.replace(old, new))
        with pytest.raises(LockError, match="is out of date") as caught:
            read_there(tmp_path)
        assert said in str(caught.value)
        assert "hatch env lock" in str(caught.value.hint)

    def test_one_of_an_environment_without_the_project_need_not(self, tmp_path: Path) -> None:
        text = PROJECT.replace('version = "1"', 'version = "1"\ndependencies = ["flask"]')
        (tmp_path / "pyproject.toml").write_text(
            text + "[tool.hatch.envs.default]\nskip-install = true\n"
        )
        (tmp_path / "pylock.toml").write_text(HEAD + package("six"))
        assert lines(read_there(tmp_path)) == ["six==1.0"]

    def test_extras_and_groups_that_are_asked_for_count_too(self, tmp_path: Path) -> None:
        text = "extras = ['plot']\ndependency-groups = ['docs']\n" + package("six")
        with pytest.raises(LockError, match="is out of date") as caught:
            read(tmp_path, text, extras=["plot"], groups=["docs"])
        assert "`cycler` is not in the lock" in str(caught.value)
        assert "`markdown` is not in the lock" in str(caught.value)

    def test_a_dependency_on_a_url_is_not_satisfied_by_its_name_on_an_index(
        self, tmp_path: Path
    ) -> None:
        dependencies = '["a @ https://h/a.whl", "b @ {root:uri}/b", "locked"]'
        text = PROJECT.replace('version = "1"', f'version = "1"\ndependencies = {dependencies}')
        (tmp_path / "pyproject.toml").write_text(text)
        (tmp_path / "pylock.toml").write_text(HEAD + package("a") + package("b"))
        with pytest.raises(LockError) as caught:
            read_there(tmp_path)
        assert "`a @ https://h/a.whl` does not allow 1.0" in str(caught.value)
        assert "`b @ {root:uri}/b` does not allow 1.0" in str(caught.value)


class TestSelection:
    def test_markers_are_evaluated_for_the_target(self, tmp_path: Path) -> None:
        text = package("a", "marker = \"sys_platform == 'win32'\"")
        text += package("b", "marker = \"python_version >= '3.12'\"") + package("c")
        assert lines(read(tmp_path, text)) == ["c==1.0"]
        assert lines(read(tmp_path, text, "3.12")) == ["b==1.0", "c==1.0"]

    def test_extras_and_groups_are_selected_beside_the_default_ones(self, tmp_path: Path) -> None:
        text = "extras = ['plot']\ndependency-groups = ['docs']\ndefault-groups = ['default']\n"
        text += package("main", "marker = \"'default' in dependency_groups\"")
        text += package("cycler", "marker = \"'plot' in extras\"")
        text += package("markdown", "marker = \"'docs' in dependency_groups\"")
        assert lines(read(tmp_path, text)) == ["main==1.0"]
        assert lines(read(tmp_path, text, extras=["plot"])) == ["cycler==1.0", "main==1.0"]
        assert lines(read(tmp_path, text, groups=["docs"])) == ["main==1.0", "markdown==1.0"]

    def test_unknown_extras_and_groups_are_errors(self, tmp_path: Path) -> None:
        text = "extras = ['plot']\n" + package("a")
        with pytest.raises(LockError) as caught:
            read(tmp_path, text, extras=["nope"], groups=["docs"])
        assert "no extra named `nope` in it (available: plot)" in str(caught.value)
        assert "no dependency group named `docs` in it (available: none)" in str(caught.value)

    def test_a_patch_of_python_that_a_lock_begins_with(self, tmp_path: Path) -> None:
        text = "requires-python = '>=3.11.7'\n" + package("a")
        assert lines(read(tmp_path, text)) == ["a==1.0"]
        with pytest.raises(LockError, match=r"is for Python >=3\.11\.7, but 3\.10"):
            read(tmp_path, text, "3.10")

    def test_the_project_itself_is_no_line(self, tmp_path: Path) -> None:
        text = package("a") + "[[packages]]\nname = 'locked'\ndirectory = { path = '.' }\n"
        assert lines(read(tmp_path, text)) == ["a==1.0"]

    def test_repositories_and_archives_keep_their_urls(self, tmp_path: Path) -> None:
        text = """
[[packages]]
name = "a"
vcs = { type = "git", url = "https://h.example/a", commit-id = "0123abc", subdirectory = "s" }
[[packages]]
name = "b"
archive = { url = "https://h.example/b.tar.gz", hashes = { sha256 = "aa" }, subdirectory = "s" }
[[packages]]
name = "c"
archive = { url = "https://h.example/c-1-py3-none-any.whl", hashes = { sha256 = "aa" } }
"""
        assert lines(read(tmp_path, text)) == [
            "a @ git+https://h.example/a@0123abc#subdirectory=s",
            "b @ https://h.example/b.tar.gz#subdirectory=s",
            "c @ https://h.example/c-1-py3-none-any.whl",
        ]

    def test_hashes_are_kept_when_asked_for(self, tmp_path: Path) -> None:
        (pin,) = read(tmp_path, package("a"), hashes=True).pins
        assert pin.hashes == ("sha256:aa",)

    def test_another_index_is_noted(self, tmp_path: Path) -> None:
        lock = read(tmp_path, package("a", "index = 'https://index.example/simple'"))
        assert "https://index.example/simple" in lock.notes[0]

    def test_credentials_of_an_index_are_refused_and_not_shown(self, tmp_path: Path) -> None:
        with pytest.raises(LockError, match=r"https://\*\*\*@index\.example/simple") as caught:
            read(tmp_path, package("a", "index = 'https://me:hunter2@index.example/simple'"))
        assert "hunter2" not in str(caught.value)

    def test_an_sdist_beside_wheels_for_others_is_noted(self, tmp_path: Path) -> None:
        sdist = "sdist = { url = 'https://h.example/a-1.0.tar.gz', hashes = { sha256 = 'aa' } }"
        lock = read(tmp_path, package("a", sdist, wheel="cp311-cp311-win_amd64"))
        assert lock.notes == ("a 1.0 has no wheel for the target: the server will build it.",)


class TestRefused:
    def test_everything_at_once(self, tmp_path: Path) -> None:
        text = (
            package("a", wheel="cp311-cp311-win_amd64")
            + package("b", "marker = \"os_name == 'posix'\"", wheel="cp311-cp311-win_amd64")
            + package("skipped", "marker = \"os_name == 'nt'\"", wheel="cp311-cp311-win_amd64")
            + """
[[packages]]
name = "c"
directory = { path = "libs/c" }
[[packages]]
name = "d"
vcs = { type = "git", url = "https://me:hunter2@h.example/d", commit-id = "abc" }
[[packages]]
name = "e"
archive = { path = "e-1-py3-none-any.whl", hashes = { sha256 = "aa" } }
[[packages]]
name = "f"
archive = { url = "https://h.example/f-1-cp39-cp39-win32.whl", hashes = { sha256 = "aa" } }
[[packages]]
name = "g"
sdist = { url = "https://h.example/g-1.0.tar.gz", hashes = { sha256 = "aa" } }
"""
        )
        with pytest.raises(LockError) as caught:
            read(tmp_path, text, hashes=True)
        said = str(caught.value)
        for part in (
            "a 1.0 has no wheel for CPython 3.11 on linux x86_64 and no sdist",
            "b 1.0 has no wheel",
            "c is built from libs/c, which does not exist",
            "d has credentials in its URL",
            "d has no hash in it",
            "e is built from e-1-py3-none-any.whl, which does not exist",
            "f has no wheel for CPython 3.11",
            "g has no version in it",
            "universal = true",
        ):
            assert part in said
        assert "hunter2" not in said
        assert "skipped" not in said

    def test_what_only_the_lock_names_is_not_read_outside_of_the_project(
        self, tmp_path: Path
    ) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "pyproject.toml").write_text(
            "[project]\nname = 'secret'\ndependencies = ['x']\n"
        )
        (tmp_path / "p").mkdir()
        (tmp_path / "p" / "link").symlink_to(outside)
        places = (
            "directory = { path = '../outside' }",
            f"directory = {{ path = '{outside.as_posix()}' }}",
            "directory = { path = 'link' }",
            "directory = { path = 'sub', subdirectory = '../../outside' }",
            f"directory = {{ path = '../{'x' * 5000}' }}",
            'directory = { path = "../\\u0000" }',
            "archive = { path = '../x-1.0.tar.gz', hashes = { sha256 = 'aa' } }",
        )
        for place in places:
            text = f"[[packages]]\nname = 'x'\n{place}\n"
            with pytest.raises(LockError, match="outside the project") as caught:
                read(tmp_path / "p", text)
            assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("commit", ["main", "v1.0", "012345", "g" * 40])
    def test_a_commit_that_is_none(self, tmp_path: Path, commit: str) -> None:
        vcs = f"vcs = {{ type = 'git', url = 'https://h.example/a', commit-id = '{commit}' }}"
        with pytest.raises(LockError, match=f"`{commit}`, which is not a commit"):
            read(tmp_path, f"[[packages]]\nname = 'a'\n{vcs}\n")

    def test_two_of_one_name(self, tmp_path: Path) -> None:
        with pytest.raises(LockError, match=r"a 1\.0 and a 2\.0 are mutually exclusive"):
            read(tmp_path, package("a") + package("a", version="2.0"))

    def test_other_environments(self, tmp_path: Path) -> None:
        text = "environments = [\"sys_platform == 'win32'\"]\n" + package("a")
        with pytest.raises(LockError, match="does not satisfy any of the environments"):
            read(tmp_path, text)

    def test_a_newer_format(self, tmp_path: Path) -> None:
        read(tmp_path, package("a"))
        (tmp_path / "pylock.toml").write_text(
            "lock-version = '2.0'\ncreated-by = 'x'\npackages = []\n"
        )
        with pytest.raises(LockError, match=r"2\.0") as caught:
            read_there(tmp_path)
        assert "Update hatch-connect" in str(caught.value.hint)

    def test_an_invalid_one(self, tmp_path: Path) -> None:
        with pytest.raises(LockError, match="is not a valid lock"):
            read(tmp_path, "packages = 3\n")

    def test_what_it_repeats_is_short_and_without_credentials(self, tmp_path: Path) -> None:
        for text in (
            f"[[packages]]\nname = '{'x' * 5000}'\nversion = '1'\nwheels = 3\n",
            package("a", f"marker = 'https://me:hunter2@h/{'x' * 5000}'"),
            package("a", f"index = 'https://me:hunter2@h/{'x' * 5000}'"),
        ):
            with pytest.raises(LockError) as caught:
                read(tmp_path, text)
            assert "hunter2" not in str(caught.value)
            assert max(map(len, str(caught.value).splitlines())) < 1000


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
        assert "`six>=2` does not allow 1.0, which the lock has. It is required by near." in str(
            caught.value
        )
        assert "`idna` is not in the lock. It is required by near." in str(caught.value)

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
            "seaborn": "only required by the extra viz",
            "pywin32": 'only in the lock where sys_platform == "win32"',
        }

    def test_markers_are_kept_less_what_is_chosen(self, tmp_path: Path) -> None:
        lock = read(tmp_path, GROUPED, extras=["viz"], markers="keep")
        assert lines(lock) == [
            "main==1.0",
            "pywin32==1.0 ; sys_platform == 'win32'",
            "seaborn==1.0 ; sys_platform != 'win32'",
        ]
        assert [one.name for one in lock.omitted] == ["markdown"]

    def test_a_lock_for_one_minor_has_no_markers_to_keep(self, tmp_path: Path) -> None:
        marked = package("a", "marker = \"sys_platform == 'linux'\"")
        text = "requires-python = '==3.11.*'\n" + marked
        assert lines(read(tmp_path, text, markers="keep")) == ["a==1.0"]


class TestFiles:
    def test_files_of_this_machine_stand_for_their_versions(self, tmp_path: Path) -> None:
        text = package("a").replace("https://h.example", "file:///opt/files")
        lock = read(tmp_path, text)
        assert lines(lock) == ["a==1.0"]
        assert "names files on this machine" in lock.notes[0]

    def test_a_package_for_other_pythons(self, tmp_path: Path) -> None:
        with pytest.raises(LockError, match=r"a 1\.0 requires Python >=3\.12"):
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
        with pytest.raises(LockError, match="`old` is only in the lock"):
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
