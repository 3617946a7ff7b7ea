from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.pylocks import HEAD, PROJECT, lines, package, read, read_there

from hatch_connect.errors import LockError

DATA = Path(__file__).parents[1] / "data"


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
        with pytest.raises(LockError, match="is stale") as caught:
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
        with pytest.raises(LockError, match="is stale") as caught:
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
        assert "no extra `nope` in it (there are: plot)" in str(caught.value)
        assert "no dependency group `docs` in it (there are: none)" in str(caught.value)

    def test_a_patch_of_python_that_a_lock_begins_with(self, tmp_path: Path) -> None:
        text = "requires-python = '>=3.11.7'\n" + package("a")
        assert lines(read(tmp_path, text)) == ["a==1.0"]
        with pytest.raises(LockError, match=r"is for Python >=3\.11\.7, and 3\.10"):
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
        assert lock.notes == ("a 1.0 has no wheel for the target: the server builds it.",)


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
            "c is built from libs/c, which is not there",
            "d has credentials in its URL",
            "d has no hash in it",
            "e is built from e-1-py3-none-any.whl, which is not there",
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
            with pytest.raises(LockError, match="outside of the project") as caught:
                read(tmp_path / "p", text)
            assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("commit", ["main", "v1.0", "012345", "g" * 40])
    def test_a_commit_that_is_none(self, tmp_path: Path, commit: str) -> None:
        vcs = f"vcs = {{ type = 'git', url = 'https://h.example/a', commit-id = '{commit}' }}"
        with pytest.raises(LockError, match=f"`{commit}`, which is no commit"):
            read(tmp_path, f"[[packages]]\nname = 'a'\n{vcs}\n")

    def test_two_of_one_name(self, tmp_path: Path) -> None:
        with pytest.raises(LockError, match=r"a 1\.0 and a 2\.0 exclude one another"):
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
        with pytest.raises(LockError, match="is no valid lock"):
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
