"""Whether a `uv.lock` still says what its project says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.uvlocks import copy, read

from hatch_connect.errors import LockError

if TYPE_CHECKING:
    from pathlib import Path


class TestStale:
    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ('"jinja2",', '"jinja2", "flask",', "`flask` is not in the lock"),
            ('"jinja2",', "", "`jinja2` is only in the lock"),
            ('"jinja2",', '"jinja2>3",', "`jinja2>3` is not in the lock"),
            ("httpx[socks]", "httpx", "`httpx>=0.27` is not in the lock"),
            ("== 'win32'", "== 'linux'", "`colorama` (with a marker) is not in the lock"),
            (">=3.11", ">=3.12", "`project.requires-python` is `>=3.12`"),
            ('["cycler"]', '["cycler>0"]', "`cycler>0` in the extra plot is not in the lock"),
            ("empty = []", "", "The extra `empty` is only in the lock"),
            ("empty = []", "empty = []\nmore = []", "The extra `more` is not in the lock"),
            ('["pyflakes"]', '["ruff"]', "`ruff` in the group lint is not in the lock"),
            ('"jinja2",', '"jinja2 @ https://h/j.whl",', "from https://h/j.whl is not in the lock"),
        ],
    )
    def test_each_change_of_the_project_is_told(
        self, tmp_path: Path, old: str, new: str, said: str
    ) -> None:
        root = copy("forked", tmp_path, ("pyproject.toml", old, new))
        with pytest.raises(LockError, match="is out of date") as caught:
            read(root, "3.12")
        assert said in str(caught.value)
        assert "uv lock" in str(caught.value.hint)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"jinja2",', '"Jinja2 ",'),
            ("python_version < '3.12'", "python_full_version<'3.12.0'"),
            ("httpx[socks]>=0.27", "HTTPX[Socks] >= 0.27"),
        ],
    )
    def test_another_spelling_is_no_change(self, tmp_path: Path, old: str, new: str) -> None:
        assert read(copy("forked", tmp_path, ("pyproject.toml", old, new))).pins

    @pytest.mark.parametrize(
        ("old", "new"),
        [("@v1", "@v2"), ("#subdirectory=sub", ""), ("example/gitdep", "example/other")],
    )
    def test_another_repository_or_revision(self, tmp_path: Path, old: str, new: str) -> None:
        root = copy("repository", tmp_path, ("pyproject.toml", old, new))
        with pytest.raises(LockError, match="is out of date"):
            read(root)

    def test_a_workspace_dependency_that_became_one_of_an_index(self, tmp_path: Path) -> None:
        change = ("pyproject.toml", "member = { workspace = true }", "")
        with pytest.raises(LockError, match="`member` from a folder or file is only in the lock"):
            read(copy("workspace", tmp_path, change))

    def test_what_only_a_build_can_tell_is_not_compared(self, tmp_path: Path) -> None:
        change = ("pyproject.toml", 'version = "1.0"', 'version = "1"\ndynamic = ["dependencies"]')
        root = copy("windows", tmp_path, change, ("pyproject.toml", '["pywin32", "six"]', "[]"))
        text = (root / "pyproject.toml").read_text().replace("dependencies = []\n", "")
        (root / "pyproject.toml").write_text(text)
        with pytest.raises(LockError, match="cannot be installed"):
            read(root, "3.12")

    def test_sources_of_uv_and_old_development_dependencies(self, tmp_path: Path) -> None:
        """What uv writes of `tool.uv.sources` is what a direct reference would give."""
        direct = "gitdep @ git+https://github.com/example/gitdep@v1#subdirectory=sub"
        root = copy("repository", tmp_path, ("pyproject.toml", direct, "gitdep"))
        table = """
[tool.uv]
dev-dependencies = ["pytest"]
[tool.uv.sources]
gitdep = { git = "https://github.com/example/gitdep", tag = "v1", subdirectory = "sub" }
"""
        with (root / "pyproject.toml").open("a") as file:
            file.write(table)
        with pytest.raises(LockError) as caught:
            read(root)
        assert "`pytest` in the group dev is not in the lock" in str(caught.value)
        assert "gitdep" not in str(caught.value)

    def test_constraints_and_overrides(self, tmp_path: Path) -> None:
        root = copy("windows", tmp_path, ("pyproject.toml", '"pywin32", ', ""))
        with (root / "pyproject.toml").open("a") as file:
            file.write("[tool.uv]\nconstraint-dependencies = ['six<2']\n")
            file.write("override-dependencies = ['idna @ https://h.example/idna-3.whl']\n")
        with pytest.raises(LockError) as caught:
            read(root)
        assert "`six<2` in tool.uv.constraint-dependencies is not in the lock" in str(caught.value)
        assert "`idna` from https://h.example/idna-3.whl in tool.uv.over" in str(caught.value)
        manifest = """[manifest]
constraints = [{ name = "six", specifier = "<2" }]
overrides = [{ name = "idna", url = "https://h.example/idna-3.whl" }]

[[package]]
"""
        text = (root / "uv.lock").read_text()
        text = text.replace("[[package]]\n", manifest, 1).replace('{ name = "pywin32" },\n', "")
        (root / "uv.lock").write_text(text)
        assert [pin.name for pin in read(root).pins] == ["six"]

    def test_a_member_has_the_sources_of_its_workspace(self, tmp_path: Path) -> None:
        root = copy(
            "workspace",
            tmp_path,
            ("member/pyproject.toml", '["toolz"]', '["toolz", "pathdep"]'),
            (
                "uv.lock",
                '[{ name = "toolz" }]',
                '[{ name = "pathdep", directory = "libs/pathdep" }, { name = "toolz" }]',
            ),
        )
        assert [pin.name for pin in read(root / "member").pins] == ["toolz"]
        (root / "pyproject.toml").unlink()
        with pytest.raises(LockError, match="`pathdep` is not in the lock"):
            read(root / "member")

    def test_a_dependency_with_several_sources_is_not_compared(self, tmp_path: Path) -> None:
        root = copy("windows", tmp_path, ("pyproject.toml", '"six"', '"six>3"'))
        with (root / "pyproject.toml").open("a") as file:
            file.write("[tool.uv.sources]\nsix = [{ index = 'a' }, { index = 'b' }]")
        with pytest.raises(LockError, match="cannot be installed"):
            read(root, "3.12")
