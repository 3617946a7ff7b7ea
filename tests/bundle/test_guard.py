from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.bundles import Heard, write_files
from support.projects import APP, CONNECT, HATCHLING, PACKAGE, build_one, paths, project, rules

from hatch_connect.bundle.guard import forbidden
from hatch_connect.bundle.in_place import write_in_place
from hatch_connect.bundle.manifest import Manifest
from hatch_connect.events import Warned
from hatch_connect.project.project import read_project

if TYPE_CHECKING:
    from pathlib import Path

    from support.sandbox import Sandbox


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


KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9q\n"
SECRETS: dict[str, str | bytes] = {
    ".ENV": "X=1",
    ".env~": "X=1",
    "env copy/.env (1)": "X=1",
    "SERVER.KEY": "",
    "chain.pem": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n" * 500 + KEY,
    "wide.dat": KEY.encode("utf-16"),
    "config.yaml": "key: |\n  " + KEY.replace("\n", "\n  "),
    "terraform.tfstate": "{}",
    "Credentials.json": "{}",
    "deploy_ed25519": "",
    "node_modules/near/.env": "X=1",
    ".vscode/sftp.json": "{}",
}
INNOCENT: dict[str, str | bytes] = {
    "env copy/read.me": "",
    ".env.example": "X=",
    "id_rsa.pub": "ssh-rsa AAAA me",
    "keyboard.py": "",
    "ca.pem": "-----BEGIN CERTIFICATE-----\nMIIB\n",
    "tls.md": "A key begins with -----BEGIN PRIVATE KEY-----.\n",
    "config.json": "{}",
}


def _tree(root: Path, prefix: str) -> Path:
    files = {"app.py": APP, **_below(prefix, SECRETS), **_below(prefix, INNOCENT)}
    connect = CONNECT.replace("sales_api.main", "app")
    return project(root, files, connect=connect + f'include = ["/{prefix}"]\n')


def _package(root: Path, prefix: str) -> Path:
    return project(root, {**PACKAGE, **_below(prefix, SECRETS), **_below(prefix, INNOCENT)})


def _below(prefix: str, files: dict[str, str | bytes]) -> dict[str, str | bytes]:
    return {prefix + name: text for name, text in files.items()}


@pytest.mark.parametrize("way", ["tree", "package", "other back end", "in place"])
def test_the_guard_holds_whatever_selects_the_files(
    tmp_path: Path, sandbox: Sandbox, way: str
) -> None:
    prefix = "src/sales_api/data/" if way == "package" else "data/"
    root = (_package if way == "package" else _tree)(tmp_path / "p", prefix)
    if way == "other back end":
        text = (root / "pyproject.toml").read_text("utf-8")
        (root / "pyproject.toml").write_text(text.replace(HATCHLING, ""), "utf-8")
    built = build_one(root, sandbox.environ)
    shipped = paths(built)
    if way == "in place":
        manifest = write_in_place(read_project(root), built.bundle)
        shipped = [file.path for file in Manifest.from_json(manifest.read_bytes()).files]
    at = prefix.removeprefix("src/")
    assert set(shipped).isdisjoint(_below(at, SECRETS))
    assert set(_below(at, INNOCENT)) <= set(shipped)
    said = rules(built)
    assert {path for path in _below(prefix, SECRETS) if path not in said} <= {
        # In a package, a folder that is no content is left out file by file or as a whole.
        path
        for path in _below(prefix, SECRETS)
        if f"{path.rpartition('/')[0]}/" in said
    }


def test_a_secret_that_is_named_ships(tmp_path: Path, sandbox: Sandbox) -> None:
    files = {"app.py": APP, ".env": "X=1", "tls/server.key": KEY, "tls/chain.pem": KEY}
    connect = CONNECT.replace("sales_api.main", "app")
    connect += 'include = [".env", "/tls/server.key", "tls/chain.pem"]\n'
    built = build_one(project(tmp_path / "p", files, connect=connect), sandbox.environ)
    assert set(files) <= set(paths(built))


def test_a_link_is_judged_by_what_it_leads_to(tmp_path: Path, sandbox: Sandbox) -> None:
    files = {"app.py": APP, "config/.env": "X=1", "plain.txt": ""}
    root = project(tmp_path / "p", files, connect=CONNECT.replace("sales_api.main", "app"))
    (root / "settings").symlink_to("config/.env")
    (root / "same.txt").symlink_to("plain.txt")
    built = build_one(root, sandbox.environ)
    assert rules(built)["settings"] == "guard: environment variables"
    assert "same.txt" in paths(built)


def test_source_code_that_holds_a_whole_key_is_left_out_and_said(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    path = "src/sales_api/signing.py"
    files = {**PACKAGE, path: f'KEY = """{KEY}-----END PRIVATE KEY-----"""'}
    heard = Heard()
    built = build_one(project(tmp_path / "p", files), sandbox.environ, heard)
    assert rules(built)[path] == "guard: a private key"
    (said,) = [e.text for e in heard.events if isinstance(e, Warned) and path in e.text]
    assert f'`include = ["/{path}"]`' in said
    named = CONNECT + f'include = ["/{path}"]\n'
    built = build_one(project(tmp_path / "p", files, connect=named), sandbox.environ)
    assert "sales_api/signing.py" in paths(built)
