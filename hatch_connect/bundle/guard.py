"""What never ships, and why: secrets, what sessions leave, our own outputs.

A secret ships only where a user names that very file; what programs generate also where a user
names its folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase, translate
from typing import TYPE_CHECKING

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


_SECRET_FOLDERS = frozenset({".aws", ".azure", ".docker", ".gnupg", ".kube", ".ssh"})
_GENERATED_FILES = {
    **_rules("compiled Python", "*.py[cod]"),
    **_rules("a virtual environment", "pyvenv.cfg"),
    **_rules("left by a file manager", ".DS_Store", "Thumbs.db", "desktop.ini"),
    **_rules("left by a session", ".RData", ".Rhistory", ".coverage", ".coverage.*"),
    **_rules("a bundle of an earlier build", "*.connect.tgz"),
}
_SECRET_FILES = {
    **_rules("environment variables", ".env", ".env.*", "*.env", ".envrc", ".Renviron"),
    **_rules("a private key", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*.key", "*.ppk"),
    **_rules("a key store", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx"),
    **_rules(
        "credentials",
        *(".netrc", "_netrc", ".pypirc", ".npmrc", ".pgpass", ".my.cnf", ".git-credentials"),
        *(".htpasswd", "credentials.json", "client_secret*.json", "service[-_]account*.json"),
        *("application_default_credentials.json", "*.tfstate", "*.tfvars"),
    ),
}
_SECRET_PATHS = {**_rules("credentials", "*.streamlit/secrets.toml")}
_ANY_FILE = re.compile("|".join(map(translate, {**_GENERATED_FILES, **_SECRET_FILES})))
_MAY_HOLD_A_KEY = frozenset({".pem", ".crt", ".cer", ".p8", ".asc", ".txt", ""})
_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
_LOOKED_AT = 4096


def forbidden(path: str, source: Path | None = None) -> Forbidden | None:
    """Say which rule keeps a file back, or None; its content counts where `source` is given."""
    *folders, name = path.split("/")
    for folder in folders:
        if rule := forbidden_folder(folder):
            return rule
    secret = _first(path, _SECRET_PATHS)
    generated = None
    if _ANY_FILE.match(name):
        secret = secret or _first(name, _SECRET_FILES)
        generated = _first(name, _GENERATED_FILES)
    if secret is None and source is not None and _holds_private_key(name, source):
        secret = "a private key"  # noqa: S105 - the words, not a key
    if secret:
        return Forbidden(rule=secret, secret=True)
    if generated is None and name.startswith(".git"):
        generated = never_content(name)
    if path == "manifest.json":
        generated = "the manifest of an earlier build"
    return Forbidden(rule=generated, secret=False) if generated else None


def forbidden_folder(name: str) -> Forbidden | None:
    """Say which rule keeps a folder of this name back, tracked by git or not; or None."""
    if name in _SECRET_FOLDERS:
        return Forbidden(rule="credentials", secret=True)
    rule = never_content(name)
    return Forbidden(rule=rule, secret=False) if rule else None


def _first(name: str, rules: dict[str, str]) -> str | None:
    return next((rule for pattern, rule in rules.items() if fnmatchcase(name, pattern)), None)


def _holds_private_key(name: str, source: Path) -> bool:
    if not name.startswith(".") and "." in name:
        suffix = "." + name.rsplit(".", 1)[1].lower()
    else:
        suffix = ""
    if suffix not in _MAY_HOLD_A_KEY or not source.is_file():
        return False
    try:
        with source.open("rb") as file:
            return bool(_PRIVATE_KEY.search(file.read(_LOOKED_AT)))
    except OSError:
        return False
