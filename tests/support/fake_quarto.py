"""A `quarto` that answers `quarto inspect` as Quarto 1.6 did for such content."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = """#!{python}
import json, pathlib, re, sys

command, target = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
assert command == "inspect", command
if not target.exists():
    sys.exit("ERROR: " + str(target) + " was not found")
project = target.is_dir()
inputs = sorted(target.glob("*.qmd")) if project else [target]
engines = set()
for each in inputs:
    text = each.read_text("utf-8")
    code = set(re.findall(r"^```.(python|r).$", text, re.MULTILINE))
    engines |= {{"jupyter" if name == "python" else "knitr" for name in code}} or {{"markdown"}}
answer = {{"quarto": {{"version": "1.6.40"}}, "engines": sorted(engines)}}
if project:
    config = target / "_quarto.yml"
    output = re.search(r"output-dir: (\\S+)", config.read_text("utf-8"))
    answer["dir"] = str(target)
    answer["config"] = {{"project": {{"type": "website"}}}}
    if output:
        answer["config"]["project"]["output-dir"] = output[1]
    before = re.search(r"pre-render: (.+)", config.read_text("utf-8"))
    if before:
        answer["config"]["project"]["pre-render"] = json.loads(before[1])
    answer["files"] = {{"input": [str(each) for each in inputs], "config": [str(config)]}}
else:
    answer["formats"] = {{"html": {{}}}}
    answer["resources"] = []
json.dump(answer, sys.stdout)
"""


def install_quarto(folder: Path, program: str = "") -> dict[str, str]:
    """Write a `quarto` into a folder (one that runs `program`, if given); give the PATH for it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "quarto"
    path.write_text(program or _PROGRAM.format(python=sys.executable), encoding="utf-8")
    path.chmod(0o755)
    return {"PATH": str(folder)}
