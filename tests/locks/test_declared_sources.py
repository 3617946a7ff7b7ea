"""Where the build says that a package comes from elsewhere (Hatch 1.18, uv)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.projects import configuration

from hatch_connect.errors import ConfigurationError, LockError, ProjectError
from hatch_connect.locks import find_lock, read_lock
from hatch_connect.project.target import Target

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.locks.lock import Lock

PROJECT = """
[project]
name = "app"
version = "1"
dependencies = ["Ours", "six"]
[tool.hatch-connect]
app-mode = "fastapi"
entrypoint = "a"
"""
COMMIT = "0123456789012345678901234567890123456789"
GIT = '{ git = "https://h.example/ours.git", tag = "v1" }'


def read(root: Path, sources: str, lines: str, **asked: object) -> Lock:
    (root / "app").mkdir(exist_ok=True)
    (root / "ours").mkdir(exist_ok=True)
    (root / "ours" / "pyproject.toml").write_text("[project]\nname = 'ours'\nversion = '1'\n")
    (root / "app" / "pyproject.toml").write_text(PROJECT + sources)
    if "lock-version" in lines:
        (root / "app" / "pylock.toml").write_text(lines)
    else:
        (root / "app" / "requirements.txt").write_text(lines)
    config = configuration(root / "app", overrides=asked)
    found = find_lock(config)
    assert found is not None
    return read_lock(found, config, Target(python="3.12", machine="x86_64"))


TABLES = ("[tool.hatch.sources]\n", "[tool.hatch.envs.default.sources]\n", "[tool.uv.sources]\n")


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("source", ['"../ours"', '{ path = "../ours", editable = false }'])
def test_a_path_is_built_in_place_of_what_an_index_has(
    tmp_path: Path, table: str, source: str
) -> None:
    if table == TABLES[2] and not source.startswith("{"):
        source = '{ path = "../ours" }'
    settings = f"{table}ours = {source}\n"
    lock = read(tmp_path, settings, "ours==1\nsix==1\n", **{"compile-requirements": True})
    assert [pin.requirement for pin in lock.pins] == ["six==1"]
    assert [(one.name, one.path.resolve()) for one in lock.local] == [("ours", tmp_path / "ours")]
    without = read(tmp_path, settings, "six==1\n")
    assert [one.name for one in without.local] == ["ours"]
    with pytest.raises(LockError, match=r"sources\.ours` is \.\./ours, but requirements\.txt has"):
        read(tmp_path, settings, "ours==1\nsix==1\n")


def test_what_a_declared_path_needs_must_be_locked(tmp_path: Path) -> None:
    settings = "[tool.hatch.sources]\nours = '../ours'\n"
    read(tmp_path, settings, "six==1\n")
    with (tmp_path / "ours" / "pyproject.toml").open("a") as file:
        file.write("dependencies = ['idna']\n")
    config = configuration(tmp_path / "app")
    found = find_lock(config)
    assert found is not None
    with pytest.raises(
        LockError, match=r"`idna` is not in requirements\.txt\. It is required by ours"
    ):
        read_lock(found, config, Target(python="3.12", machine="x86_64"))


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        (GIT, "ours==1", "takes"),
        (GIT, f"ours @ git+https://h.example/other@{COMMIT}", "other"),
        (GIT, "ours @ https://h.example/ours.git", "ours.git`"),
        (
            f'{{ git = "https://h.example/ours", rev = "{COMMIT}" }}',
            f"ours @ git+https://h.example/ours@{'9' * 40}",
            "999",
        ),
        ('{ url = "https://h.example/ours-1-py3-none-any.whl" }', "ours==1", "from an index"),
        (
            '{ url = "https://h.example/ours-1-py3-none-any.whl" }',
            "ours @ https://h.example/ours-2-py3-none-any.whl",
            "ours-2",
        ),
        ('{ index = "https://i.example/simple" }', "ours==1", "does not name that index"),
        (
            '{ index = "https://i.example/simple" }',
            "--index-url https://other.example/simple\nours==1",
            "does not name that index",
        ),
        ("{ workspace = true }", "ours==1", "which does not exist"),
        ('{ path = "../gone" }', "ours==1", "which does not exist"),
    ],
)
@pytest.mark.parametrize("table", TABLES[:2])
def test_another_one_of_that_name_stops_with_both_named(
    tmp_path: Path, table: str, source: str, line: str, said: str
) -> None:
    with pytest.raises(LockError) as caught:
        read(tmp_path, f"{table}ours = {source}\n", f"{line}\nsix==1\n")
    text = str(caught.value)
    assert table.strip()[1:-1] + ".ours`" in text
    assert said in text or (said == "takes" and "ours==1" in text)
    assert "hatch env lock" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (GIT, f"ours @ git+https://h.example/ours@{COMMIT}"),
        (GIT, f"ours @ git+ssh://git@h.example/ours.git@{COMMIT}"),
        (
            '{ url = "https://h.example/ours-1-py3-none-any.whl" }',
            "ours @ https://h.example/ours-1-py3-none-any.whl#sha256=aa",
        ),
        (
            '{ index = "https://i.example/simple/" }',
            "--extra-index-url https://i.example/simple\nours==1",
        ),
    ],
)
def test_the_one_that_is_declared_passes(tmp_path: Path, source: str, line: str) -> None:
    lock = read(tmp_path, f"[tool.hatch.sources]\nours = {source}\n", f"{line}\nsix==1\n")
    assert [pin.name for pin in lock.pins] == ["ours", "six"]


def test_a_pylock_says_its_indexes_itself(tmp_path: Path) -> None:
    settings = '[tool.hatch.sources]\nours = { index = "https://i.example/simple" }\n'
    text = (
        "lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 'ours'\nversion = '1'\n"
        "index = '{}'\nwheels = [{{ url = 'https://h/ours-1-py3-none-any.whl',"
        " hashes = {{ sha256 = 'aa' }} }}]\n[[packages]]\nname = 'six'\nversion = '1'\n"
        "wheels = [{{ url = 'https://h/six-1-py3-none-any.whl', hashes = {{ sha256 = 'aa' }} }}]\n"
    )
    with pytest.raises(LockError, match=r"from https://pypi\.org/simple"):
        read(tmp_path, settings, text.format("https://pypi.org/simple"))
    lock = read(tmp_path, settings, text.format("https://i.example/simple"))
    assert lock.pins[0].index == "https://i.example/simple"


def test_a_lock_of_hatch_may_name_a_declared_folder_outside(tmp_path: Path) -> None:
    text = (
        "lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 'ours'\n"
        "directory = { path = '/colleague/ours' }\n[[packages]]\nname = 'six'\nversion = '1'\n"
        "wheels = [{ url = 'https://h/six-1-py3-none-any.whl', hashes = { sha256 = 'aa' } }]\n"
    )
    lock = read(tmp_path, "[tool.hatch.sources]\nours = '../ours'\n", text)
    assert [one.path.resolve() for one in lock.local] == [tmp_path / "ours"]


@pytest.mark.parametrize(
    ("dependency", "table"),
    [
        ("ours", "[tool.poetry.dependencies]\nours = { path = '../ours' }\n"),
        ("ours @ file:///${PROJECT_ROOT}/../ours", ""),
    ],
)
def test_so_may_one_of_poetry_and_pdm(tmp_path: Path, dependency: str, table: str) -> None:
    text = (
        "lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 'ours'\n"
        "directory = { path = '../ours' }\n[[packages]]\nname = 'six'\nversion = '1'\n"
        "wheels = [{ url = 'https://h/six-1-py3-none-any.whl', hashes = { sha256 = 'aa' } }]\n"
    )
    for folder in ("app", "ours"):
        (tmp_path / folder).mkdir()
    (tmp_path / "ours" / "pyproject.toml").write_text("[project]\nname = 'ours'\n")
    (tmp_path / "app" / "pyproject.toml").write_text(PROJECT.replace("Ours", dependency) + table)
    (tmp_path / "app" / "pylock.toml").write_text(text)
    config = configuration(tmp_path / "app")
    found = find_lock(config)
    assert found is not None
    lock = read_lock(found, config, Target(python="3.12", machine="x86_64"))
    assert [one.path.resolve() for one in lock.local] == [tmp_path / "ours"]


def test_a_direct_reference_wins_over_a_source(tmp_path: Path) -> None:
    project = f"ours @ git+https://h.example/ours@{COMMIT}\nsix==1\n"
    settings = "[tool.hatch.sources]\nours = '../gone'\n"
    (tmp_path / "app").mkdir()
    text = PROJECT.replace('"Ours"', '"ours @ git+https://h.example/ours@v1"')
    (tmp_path / "app" / "pyproject.toml").write_text(text + settings)
    (tmp_path / "app" / "requirements.txt").write_text(project)
    config = configuration(tmp_path / "app")
    found = find_lock(config)
    assert found is not None
    assert read_lock(found, config, Target(python="3.12", machine="x86_64")).local == ()
    (tmp_path / "app" / "requirements.txt").write_text(project.replace("h.example", "other"))
    with pytest.raises(LockError, match="of the project is"):
        read_lock(found, config, Target(python="3.12", machine="x86_64"))


def test_sources_are_inherited_and_overridden_as_hatch_does(tmp_path: Path) -> None:
    text = """
[tool.hatch.sources]
a = "global"
B_b = "global"
[tool.hatch.envs.default.sources]
b-b = "default"
c = "default"
[tool.hatch.envs.prod.sources]
c = "prod"
[tool.hatch.envs.bare]
detached = true
"""
    places = {}
    for env in ("default", "prod", "bare"):
        settings = PROJECT + f"hatch-env = '{env}'\n" + text
        (tmp_path / "pyproject.toml").write_text(settings)
        sources = configuration(tmp_path).hatch_environment.sources
        places[env] = {source.name: source.place for source in sources}
    assert places == {
        "default": {"a": "global", "b-b": "default", "c": "default"},
        "prod": {"a": "global", "b-b": "default", "c": "prod"},
        "bare": {},
    }
    (tmp_path / "hatch.toml").write_text("[sources]\na = 'file'\n[envs.bare.sources]\nx = 1\n")
    (tmp_path / "pyproject.toml").write_text(PROJECT + text)
    assert [s.where for s in configuration(tmp_path).hatch_environment.sources] == [
        "`sources.a in hatch.toml`"
    ]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("1", "must be a path or a table"),
        ("''", "must be a non-empty string"),
        ("{ path = 'a', git = 'b' }", "exactly one of path, git, url, index, workspace"),
        ("{}", "exactly one of"),
        ("{ workspace = false }", "must be `true`"),
        ("{ git = 3 }", "must be a non-empty string"),
    ],
)
def test_what_hatch_refuses_is_a_problem(tmp_path: Path, raw: str, said: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f"{PROJECT}[tool.hatch.sources]\nours = {raw}\n")
    with pytest.raises(ConfigurationError, match=r"`tool\.hatch\.sources\.ours`") as caught:
        configuration(tmp_path)
    assert said in str(caught.value)


_VALUES = ("1", "[]", "['']", "['/abs/*']", "['../**']", "'" + "x" * 3000 + "'", "{}", "'\\u0000'")


@pytest.mark.parametrize(
    "key",
    [
        "tool.hatch.envs.default.workspace.members",
        "tool.hatch.envs.default.lock-filename",
        "tool.hatch.sources.ours",
        "tool.hatch.sources.ours.path",
        "tool.uv.sources",
        "tool.uv.sources.ours.path",
        "tool.uv.workspace.members",
        "tool.uv.index",
    ],
)
@pytest.mark.parametrize("value", _VALUES)
def test_any_value_is_taken_or_refused_in_short_lines(tmp_path: Path, key: str, value: str) -> None:
    member = "[tool.{}.sources]\nours = {{ workspace = true }}\n".format(
        "hatch" if "hatch" in key else "uv"
    )
    text = f"{key} = {value}\n{PROJECT}" + member * ("sources" not in key)
    (tmp_path / "pyproject.toml").write_text(text)
    (tmp_path / "requirements.txt").write_text("ours==1\nsix==1\n")
    said = ""
    try:
        config = configuration(tmp_path)
        found = find_lock(config)
        assert found is not None
        read_lock(found, config, Target(python="3.12", machine="x86_64"))
    except ProjectError as error:
        said = str(error)
    assert all(len(line) < 900 for line in said.splitlines())
