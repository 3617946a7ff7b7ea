from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.projects import configuration

from hatch_connect.errors import LockError
from hatch_connect.locks import find_lock

if TYPE_CHECKING:
    from hatch_connect.locks.lock import LockFile
    from hatch_connect.project.project import ProjectConfig

DATA = Path(__file__).parent / "data"

SETTINGS = "[tool.hatch-connect]\napp-mode = 'fastapi'\nentrypoint = 'a'\n"
UV = "version = 1\nrequires-python = '>=3.11'\n"
PYLOCK = "lock-version = '1.0'\ncreated-by = 'x'\n"


def project(root: Path, text: str = "") -> ProjectConfig:
    (root / "pyproject.toml").write_text(SETTINGS + text)
    return configuration(root)


def found(root: Path, text: str = "") -> LockFile:
    lock = find_lock(project(root, text))
    assert lock is not None
    return lock


def test_each_lock_gives_way_to_the_one_before_it(tmp_path: Path) -> None:
    (tmp_path / "named").mkdir()
    for name, text in (
        ("named/pylock.toml", PYLOCK),
        ("pylock.prod.toml", PYLOCK),
        ("uv.lock", UV),
        ("pylock.toml", PYLOCK),
        ("requirements.txt", "six==1\n"),
    ):
        (tmp_path / name).write_text(text)
    settings = "hatch-env = 'prod'\nlock = 'named/pylock.toml'\n[tool.hatch.envs.prod]\n"
    order = [found(tmp_path, settings)]
    settings = settings.replace("lock = 'named/pylock.toml'\n", "")
    for _ in range(4):
        order.append(found(tmp_path, settings))
        order[-1].path.unlink()
    assert [lock.path.relative_to(tmp_path).as_posix() for lock in order] == [
        "named/pylock.toml",
        "pylock.prod.toml",
        "uv.lock",
        "pylock.toml",
        "requirements.txt",
    ]
    assert [lock.hatch for lock in order] == [False, True, False, False, False]
    assert [lock.format.one_minor for lock in order] == [True, True, True, True, False]
    assert find_lock(project(tmp_path, settings)) is None


def test_a_requirements_file_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text(UV)
    (tmp_path / "prod.txt").write_text("six==1\n")
    lock = found(tmp_path, "requirements-file = 'prod.txt'\n")
    assert (lock.path.name, lock.format.name) == ("prod.txt", "requirements.txt")


def test_what_the_official_client_calls_a_requirements_file_may_be_a_lock(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text(UV)
    (tmp_path / "requirements.txt").write_text("six==1\n")
    assert found(tmp_path, "requirements-file = 'uv.lock'\n").format.name == "uv.lock"


def test_pyproject_as_a_requirements_file_names_no_lock(tmp_path: Path) -> None:
    assert find_lock(project(tmp_path, "requirements-file = 'pyproject.toml'\n")) is None


def test_one_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(LockError, match="`lock` names"):
        find_lock(project(tmp_path, "lock = 'uv.lock'\n"))


def test_one_that_is_named_must_be_a_lock(tmp_path: Path) -> None:
    (tmp_path / "Cargo.lock").touch()
    with pytest.raises(LockError, match="not a supported lock"):
        find_lock(project(tmp_path, "lock = 'Cargo.lock'\n"))


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("poetry.lock", "poetry export -f pylock.toml"),
        ("pdm.lock", "pdm export -f pylock"),
        ("Pipfile.lock", "pipenv requirements"),
        ("conda-lock.yml", "uv pip compile"),
    ],
)
def test_a_foreign_lock_that_stands_alone_brings_the_command_that_exports_it(
    tmp_path: Path, name: str, command: str
) -> None:
    (tmp_path / name).touch()
    with pytest.raises(LockError, match=name) as caught:
        find_lock(project(tmp_path))
    assert command in str(caught.value.hint)
    with pytest.raises(LockError, match=name):
        find_lock(project(tmp_path, f"lock = '{name}'\n"))
    (tmp_path / "requirements.txt").touch()
    assert found(tmp_path).format.name == "requirements.txt"


SCRIPT = "import x\n# /// script\n# requires-python = '>=3.11'\n# dependencies = ['a']\n# ///\n"


@pytest.mark.parametrize(
    ("name", "text", "cure"),
    [
        ("environment.yml", "name: sales\n", "conda run -n sales python -m pip list"),
        ("environment.yaml", "", "conda run -n NAME"),
        ("environment-prod.yml", "name: prod\ndependencies:\n  - flask\n", "conda run -n prod"),
        ("conda.yaml", "dependencies: [flask]\n", "conda run -n NAME"),
        ("requirements.in", "flask\n", "uv pip compile requirements.in -o requirements.txt"),
        ("requirements/prod.in", "flask\n", "uv pip compile requirements/prod.in -o"),
        ("requirements/prod.txt", "", 'requirements-file = "requirements/prod.txt"'),
        ("requirements-prod.txt", "", 'requirements-file = "requirements-prod.txt"'),
        ("requirements_prod.txt", "", 'requirements-file = "requirements_prod.txt"'),
        ("prod-requirements.txt", "", 'requirements-file = "prod-requirements.txt"'),
        ("a.py", SCRIPT, "uv export --script a.py -o requirements.txt"),
        ("a.py", SCRIPT.replace("\n", "\r\n"), "uv export --script a.py"),
        ("poetry.lock", "", "poetry export"),
        ("pixi.lock", "", "uv pip compile"),
        ("Pipfile", "", "pipenv lock"),
    ],
)
def test_what_says_the_packages_is_not_passed_over_for_what_is_installed(
    tmp_path: Path, name: str, text: str, cure: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(text.encode())
    with pytest.raises(LockError, match=name.replace(".", r"\.")) as caught:
        find_lock(project(tmp_path))
    assert cure in str(caught.value.hint)
    assert "--force-generate" in str(caught.value.hint)
    forced = configuration(tmp_path, overrides={"force-generate": True})
    assert find_lock(forced) is None
    (tmp_path / "requirements.txt").touch()
    assert found(tmp_path).path == tmp_path / "requirements.txt"


def test_another_file_of_a_similar_name_is_no_environment(tmp_path: Path) -> None:
    (tmp_path / "environments.yml").write_text("prod: https://connect.example\n")
    assert find_lock(project(tmp_path)) is None


def test_a_list_beside_the_content_counts_as_seen(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report/a.qmd").touch()
    (tmp_path / "report/requirements.txt").touch()
    (tmp_path / "pyproject.toml").write_text(
        "[tool.hatch-connect]\napp-mode = 'quarto'\nentrypoint = 'report/a.qmd'\n"
    )
    with pytest.raises(LockError, match=r"report/requirements\.txt says"):
        find_lock(configuration(tmp_path))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("other.py", SCRIPT),
        ("a.py", "# /// script\n# requires-python = '>=3.11'\n# ///\n"),
        ("a.py", " # /// script\n# dependencies = [1]\n"),
        ("environment.py", ""),
    ],
)
def test_what_says_nothing_of_the_content_stops_nothing(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / "a.py").touch()
    (tmp_path / name).write_text(text)
    assert find_lock(project(tmp_path)) is None


def test_a_lock_that_is_no_toml_is_an_error_of_the_lock(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text("<<<<<<< HEAD")
    with pytest.raises(LockError, match=r"uv\.lock"):
        find_lock(project(tmp_path))


class TestWorkspace:
    def test_a_member_uses_the_lock_of_its_workspace(self) -> None:
        lock = find_lock(configuration(DATA / "workspace" / "member"))
        assert lock is not None
        assert lock.path == DATA / "workspace" / "uv.lock"
        assert "workspace" in lock.because

    def test_a_lock_above_that_does_not_know_the_project_is_not_its_lock(
        self, tmp_path: Path
    ) -> None:
        shutil.copytree(DATA / "workspace", tmp_path, dirs_exist_ok=True)
        stranger = tmp_path / "stranger"
        stranger.mkdir()
        assert find_lock(project(stranger)) is None
        (tmp_path / "uv.lock").write_text("package = [3, { name = 'x', source = 3 }]")
        assert find_lock(project(stranger)) is None
        (tmp_path / "uv.lock").write_text("package = 3")
        assert find_lock(project(stranger)) is None


class TestPython:
    @pytest.mark.parametrize(
        ("requires", "python"),
        [
            ("==3.11.*", "3.11"),
            (">=3.11,<3.12", "3.11"),
            ("~=3.12.0", "3.12"),
            (">=3.11", None),
            (">=3.11,<3.13", None),
            ("nonsense", None),
        ],
    )
    def test_a_range_of_one_minor_names_it(
        self, tmp_path: Path, requires: str, python: str | None
    ) -> None:
        (tmp_path / "uv.lock").write_text(f"version = 1\nrequires-python = '{requires}'")
        lock = found(tmp_path)
        assert (lock.python, lock.requires_python) == (python, requires)
        assert (lock.lock_python or (None,))[0] == python

    @pytest.mark.parametrize(
        ("text", "python"),
        [
            ("requires-python = '>=3.11.7'\n[[packages]]\nname = 'a'", "3.11"),
            ("requires-python = '>=3.11.7'\n[[packages]]\nname = 'a'\nmarker = 'x'", None),
            ("requires-python = '>=3.11'\n[[packages]]\nname = 'a'", None),
            ("requires-python = '>=3.11.7'", None),
            ("", None),
        ],
    )
    def test_hatch_locks_for_the_interpreter_that_locked(
        self, tmp_path: Path, text: str, python: str | None
    ) -> None:
        (tmp_path / "pylock.toml").write_text(PYLOCK + text)
        assert found(tmp_path).python == python


def test_the_lock_of_hatch_pip_compile(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "requirements-prod.txt").write_text("six==1\n")
    (tmp_path / "requirements.txt").write_text("six==2\n")
    assert found(tmp_path).path.name == "requirements.txt"
    lock = found(tmp_path, "hatch-env = 'prod'\n[tool.hatch.envs.prod]\n")
    assert lock.path.name == "requirements-prod.txt"
    assert "hatch-pip-compile" in lock.because


def test_a_requirements_file_with_another_ending(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_text("six==1\n")
    assert found(tmp_path, "lock = 'requirements.lock'\n").format.name == "requirements.txt"


def test_hatchs_own_lock_stays_that_when_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "pylock.toml").write_text(PYLOCK)
    assert found(tmp_path, "lock = 'pylock.toml'\n").hatch
