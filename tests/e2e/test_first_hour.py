"""The README's five minutes and the tutorial, word for word, by a user who has nothing else."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.sandbox import REPOSITORY

if TYPE_CHECKING:
    from support.sandbox import Finished, Sandbox

pytestmark = [
    pytest.mark.sweep,
    pytest.mark.registry,
    pytest.mark.skipif(shutil.which("bash") is None, reason="the lines are for a shell"),
]
FENCE = re.compile(r"(?:`([\w/.]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
TUTORIAL = (REPOSITORY / "docs/tutorial/first-deployment.md").read_text(encoding="utf-8")


def script(text: str) -> str:
    """Return a shell script that types the commands of a text, and writes its files."""
    parts = []
    for name, kind, block in FENCE.findall(text):
        if kind == "console":
            assert all(line.startswith("$ ") for line in block.splitlines())
            parts.append(re.sub(r"^\$ ", "", block, flags=re.MULTILINE))
        else:
            parts.append(f"cat > {name} <<'END'\n{block}END\n")
    return "".join(parts)


def steps(first: int, last: int) -> str:
    """Return the script of some steps of the tutorial."""
    return script(TUTORIAL[TUTORIAL.index(f"\n## {first}.") : TUTORIAL.index(f"\n## {last + 1}.")])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds a clone: what is installed of it is here."""
    clone = tmp_path / "hatch-connect"
    clone.mkdir()
    unseen = shutil.ignore_patterns("__pycache__")
    for name in ("hatch_connect", "invoke_tasks"):
        shutil.copytree(REPOSITORY / name, clone / name, ignore=unseen)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, clone / name)
    return tmp_path


def typed(user: Sandbox, lines: str, cwd: Path) -> Finished:
    path = f"{Path(sys.executable).parent}{os.pathsep}{user.environ['PATH']}"
    return user.run("bash", "-e", "-o", "pipefail", "-c", lines, cwd=cwd, PATH=path)


def test_the_five_minutes_of_the_readme(sandbox: Sandbox, folder: Path) -> None:
    part = README[README.index("\n## Five minutes\n") : README.index("To deploy to your real")]
    activate = sandbox.environment(folder / "v", "pip") / "activate"
    done = typed(sandbox, f". {activate}\n{script(part)}", folder)
    assert done.code == 0, done.said
    assert 'answered 200: {"total":42}' in done.said


def test_the_tutorial(sandbox: Sandbox, folder: Path) -> None:
    done = typed(sandbox, steps(1, 6), folder)
    assert done.code == 0, done.said
    assert 'answered 200: {"total":42}' in done.said

    activate = f". {folder / 'venv/bin/activate'}\n"
    project = folder / "sales"
    again = typed(sandbox, f"{activate}hatch-connect deploy --local", project)
    assert again.code == 0, again.said
    assert "Nothing to upload" in again.said

    main = project / "src" / "sales_api" / "main.py"
    whole = main.read_text(encoding="utf-8")
    main.write_text(f"1 / 0\n{whole}", encoding="utf-8")
    broken = typed(sandbox, activate + steps(7, 7), project)
    assert broken.code in {4, 5}, broken.said
    assert "ZeroDivisionError" in broken.said
    main.write_text(whole, encoding="utf-8")

    by_hatch = typed(sandbox, activate + steps(8, 8), project)
    assert by_hatch.code == 0, by_hatch.said
    assert (project / "dist/connect/sales-api-1.0.0.connect.tgz").is_file()
