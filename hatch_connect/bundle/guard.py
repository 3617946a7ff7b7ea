"""What never ships, and why: secrets, what sessions leave, our own outputs.

A secret (`secret_files`) ships only where a user names that very file; what programs generate
also where a user names its folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase, translate
from typing import TYPE_CHECKING

from hatch_connect.bundle.secret_files import is_secret_folder, secret_by_name, secret_in
from hatch_connect.project.walk import never_content

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbidden:
    """A rule that keeps a file back; `secret` ones give way only to the file's exact name."""

    rule: str
    secret: bool


def _rules(rule: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, rule)


_GENERATED_FILES = {
    **_rules("compiled Python", "*.py[cod]"),
    **_rules("a virtual environment", "pyvenv.cfg"),
    **_rules("left by a file manager", ".DS_Store", "Thumbs.db", "desktop.ini"),
    **_rules("left by a session", ".RData", ".Rhistory", ".coverage", ".coverage.*"),
    **_rules("a bundle of an earlier build", "*.connect.tgz"),
}
_ANY_FILE = re.compile("|".join(map(translate, _GENERATED_FILES)))


def forbidden(path: str, source: Path | None = None) -> Forbidden | None:
    """Return the rule that keeps a file back, or None; its content counts if `source` is given.

    A secret is one in a folder of generated files, too: to name that folder ships the rest of it.
    """
    *folders, name = path.split("/")
    secret = "credentials" if any(map(is_secret_folder, folders)) else secret_by_name(path)
    if secret is None and source is not None:
        secret = secret_in(name, source)
    if secret:
        return Forbidden(rule=secret, secret=True)
    for folder in folders:
        if rule := forbidden_folder(folder):
            return rule
    generated = _first(name, _GENERATED_FILES) if _ANY_FILE.match(name) else None
    if generated is None and name.startswith(".git"):
        generated = never_content(name)
    if path == "manifest.json":
        generated = "the manifest of an earlier build"
    return Forbidden(rule=generated, secret=False) if generated else None


def forbidden_folder(name: str) -> Forbidden | None:
    """Say which rule keeps a folder of this name back, tracked by git or not; or None."""
    if is_secret_folder(name):
        return Forbidden(rule="credentials", secret=True)
    rule = never_content(name)
    return Forbidden(rule=rule, secret=False) if rule else None


def _first(name: str, rules: dict[str, str]) -> str | None:
    return next((rule for pattern, rule in rules.items() if fnmatchcase(name, pattern)), None)
