from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.projects import APP, CONNECT, HATCHLING, PACKAGE, configuration, project

from hatch_connect.bundle import strategy as strategies
from hatch_connect.bundle.strategy import (
    BuildStrategy,
    ChosenStrategy,
    _hatch_command,
    choose_strategy,
)
from hatch_connect.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

OWN = '[tool.hatch.build.targets.connect]\ndependencies = ["hatch-connect @ file:///x"]\n'
VCS = HATCHLING.replace('["hatchling"]', '["hatchling", "hatch-vcs"]')


def chosen(root: Path, **how: str) -> ChosenStrategy:
    return choose_strategy(configuration(project(root, PACKAGE, **how)), {"PATH": ""})


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"more": OWN},
        {"system": HATCHLING.replace('"hatchling"]', '"hatchling>=1.20", "Hatch_Connect"]')},
        {"system": HATCHLING.replace('"hatchling"]', '"hatch-connect @ file:///x"]')},
        {"more": '[tool.hatch.build.hooks.version]\npath = "v.py"\n'},
        {"more": "[tool.hatch.build.targets.sdist.hooks.custom]\n"},
        {"more": '[tool.hatch.build.targets.sdist]\ndependencies = ["x"]\n'},
        {"more": "[tool.hatch.build.hooks.connect]\n"},
        {"more": '[tool.hatch.version]\npath = "src/sales_api/__init__.py"\n'},
    ],
)
def test_here_where_nothing_else_is_needed(tmp_path: Path, how: dict[str, str]) -> None:
    assert chosen(tmp_path, **how).strategy is BuildStrategy.HERE


FOREIGN = {
    "the build requires hatch-vcs": {"system": VCS},
    "the build requires hatchling<1.1": {
        "system": HATCHLING.replace('"hatchling"', '"hatchling<1.1"')
    },
    "the build requires hatchling @ file:///x": {
        "system": HATCHLING.replace('"hatchling"', '"hatchling @ file:///x"')
    },
    "the build requires cython": {"more": '[tool.hatch.build]\ndependencies = ["cython"]\n'},
    "the build requires mypyc": {"more": '[tool.hatch.build.hooks.x]\ndependencies = ["mypyc"]\n'},
    "the version comes from 'code'": {"more": '[tool.hatch.version]\nsource = "code"\n'},
    "the metadata hook 'custom' is used": {"more": "[tool.hatch.metadata.hooks.custom]\n"},
    "the build hook 'custom' is used": {"more": "[tool.hatch.build.targets.wheel.hooks.custom]\n"},
    "the build requires the project's own dependencies": {
        "more": "[tool.hatch.build]\nrequire-runtime-dependencies = true\n"
    },
}


@pytest.mark.parametrize("because", FOREIGN)
def test_elsewhere_where_the_build_needs_more(tmp_path: Path, because: str) -> None:
    how = {"more": "", **FOREIGN[because]}
    how["more"] += OWN if "targets.connect]" not in how["more"] else ""
    decided = chosen(tmp_path, **how)
    assert decided.strategy is BuildStrategy.HATCH
    assert decided.because == because
    assert decided.hatch[1:] == ("-m", "hatch")


def test_hatch_toml_counts(tmp_path: Path) -> None:
    root = project(tmp_path, {**PACKAGE, "hatch.toml": '[version]\nsource = "vcs"\n'})
    assert choose_strategy(configuration(root), {}).because == "the version comes from 'vcs'"


def test_isolated_where_hatch_would_not_know_the_target(tmp_path: Path) -> None:
    decided = chosen(tmp_path, system=VCS)
    assert decided.strategy is BuildStrategy.ISOLATED
    assert decided.requires == ("hatchling", "hatch-vcs")


def test_isolated_where_hatch_would_not_install_what_the_wheel_needs(tmp_path: Path) -> None:
    more = OWN + '[tool.hatch.build.targets.wheel]\ndependencies = ["numpy"]\n'
    decided = chosen(tmp_path, more=more)
    assert decided.strategy is BuildStrategy.ISOLATED
    assert set(decided.requires) == {"hatchling", "hatch-connect @ file:///x", "numpy"}


@pytest.mark.parametrize("url", [None, "file:///checkout"])
def test_the_name_alone_will_do_where_an_index_has_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    monkeypatch.setattr(strategies, "own_url", lambda: url)
    more = OWN.replace(" @ file:///x", "")
    expected = BuildStrategy.HATCH if url is None else BuildStrategy.ISOLATED
    assert chosen(tmp_path, system=VCS, more=more).strategy is expected


def test_isolated_where_there_is_no_hatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategies, "find_spec", lambda _: None)
    assert chosen(tmp_path, system=VCS, more=OWN).strategy is BuildStrategy.ISOLATED


def test_hatch_on_the_path_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategies, "find_spec", lambda _: None)
    program = tmp_path / "hatch"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    assert _hatch_command({"PATH": str(tmp_path)}) == (str(program),)


@pytest.mark.parametrize(
    "system",
    [
        '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n',
        '[build-system]\nrequires = ["setuptools"]\n',
    ],
)
def test_another_back_end_makes_its_own_wheel(tmp_path: Path, system: str) -> None:
    assert chosen(tmp_path, system=system).strategy is BuildStrategy.WHEEL


def test_no_back_end_and_an_entrypoint_in_the_tree(tmp_path: Path) -> None:
    root = project(
        tmp_path, {"app.py": APP}, system="", connect=CONNECT.replace("sales_api.main", "app")
    )
    assert choose_strategy(configuration(root), {}).strategy is BuildStrategy.TREE


def test_no_back_end_and_a_package_below_src(tmp_path: Path) -> None:
    assert chosen(tmp_path, system="").strategy is BuildStrategy.WHEEL


def test_neither_a_back_end_nor_a_project(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(CONNECT, encoding="utf-8")
    with pytest.raises(BundleError, match=r"there is no sales_api/main\.py or"):
        choose_strategy(configuration(tmp_path), {})
