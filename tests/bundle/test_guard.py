from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.bundles import write_files

from hatch_connect.bundle.guard import forbidden

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        "a/.env.production",
        ".envrc",
        "id_ed25519",
        "certs/server.key",
        "x.p12",
        ".netrc",
        ".pypirc",
        "gcp/credentials.json",
        "client_secret_1.json",
        "service-account.json",
        ".aws/config",
        "a/.ssh/known_hosts",
        ".streamlit/secrets.toml",
        "app/.streamlit/secrets.toml",
        "terraform.tfstate",
        ".Renviron",
    ],
)
def test_a_secret(path: str) -> None:
    rule = forbidden(path)
    assert rule is not None
    assert rule.secret


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        "a/__pycache__/x.pyc",
        "x.pyc",
        ".venv/bin/python",
        ".ipynb_checkpoints/x.ipynb",
        "rsconnect-python/x.json",
        "notebooks/rsconnect-python/x.json",
        ".DS_Store",
        "a/Thumbs.db",
        "manifest.json",
        ".coverage",
        ".gitignore",
        "data/.gitattributes",
        ".gitlab-ci.yml",
        ".github/workflows/ci.yml",
        ".gitlab/x",
        ".circleci/config.yml",
        ".devcontainer/devcontainer.json",
        ".vscode/settings.json",
        ".posit/publish/a.toml",
        "env/pyvenv.cfg",
    ],
)
def test_what_programs_generate(path: str) -> None:
    rule = forbidden(path)
    assert rule is not None
    assert not rule.secret


@pytest.mark.parametrize(
    "path",
    [
        "environment.py",
        "env.py",
        "keys.py",
        "app.keys",
        "web/dist/app.js",
        "data/renv/x",
        "a/manifest.json",
        "credentials.py",
        "secrets.toml",
        ".streamlit/config.toml",
        "git/x",
        "uploads/.gitkeep",
        "netrc",
    ],
)
def test_what_ships(path: str) -> None:
    assert forbidden(path) is None


@pytest.mark.parametrize(
    ("name", "first", "kept_back"),
    [
        ("a.pem", "-----BEGIN PRIVATE KEY-----", True),
        ("a.pem", "# note\n-----BEGIN EC PRIVATE KEY-----", True),
        ("deploy", "-----BEGIN OPENSSH PRIVATE KEY-----", True),
        ("k.asc", "-----BEGIN PGP PRIVATE KEY BLOCK-----", True),
        ("a.pem", "-----BEGIN CERTIFICATE-----", False),
        ("a.pem", "-----BEGIN PUBLIC KEY-----", False),
        ("test.py", "-----BEGIN PRIVATE KEY-----", False),
        ("LICENSE", "MIT", False),
    ],
)
def test_a_private_key_is_known_by_its_content(
    tmp_path: Path, name: str, first: str, *, kept_back: bool
) -> None:
    write_files(tmp_path, {name: first})
    assert (forbidden(name, tmp_path / name) is not None) == kept_back


def test_a_file_that_cannot_be_looked_into(tmp_path: Path) -> None:
    assert forbidden("a.pem", tmp_path / "a.pem") is None
    (tmp_path / "folder.pem").mkdir()
    assert forbidden("folder.pem", tmp_path / "folder.pem") is None
