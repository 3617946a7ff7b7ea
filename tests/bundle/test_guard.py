"""What counts as a secret: by its name, by its content, in any size, place and encoding."""

from __future__ import annotations

import base64
import json
import random
import sys
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bundles import Heard, write_files
from support.projects import (
    APP,
    CONNECT,
    HATCHLING,
    PACKAGE,
    build_one,
    configuration,
    paths,
    project,
    rules,
)

from hatch_connect.bundle.artifact import write_in_place
from hatch_connect.bundle.guard import (
    SecretSearch,
    forbidden,
    secret_in,
)
from hatch_connect.bundle.manifest import Manifest
from hatch_connect.events import Warned

if TYPE_CHECKING:
    from pathlib import Path

    from support.sandbox import Sandbox

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
    "service-accounts/prod.json": "{}",
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

_BYTES = random.Random(1)

PUTTY = (
    "PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nComment: me\nPublic-Lines: 1\nAAAAB3Nz\n"
    "Private-Lines: 1\nAAABAQCy\nPrivate-MAC: 12ab\n"
)
AGE = "# created: 2024-01-01\nAGE-SECRET-KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" * 2 + "\n"
SERVICE_ACCOUNT = json.dumps({"type": "service_account", "private_key": "of another form"})

_SECRET_NAMES = """
.env .env.local .env.production app/.env.development .ENV Prod.Env .env~ .env.bak .env.swp #.env#
.#.env .env.orig ._.env .env.un~ .env.save .env-old .env_backup ._.env.local .envrc .Renviron
.dev.vars .envs/.production/.postgres
id_rsa .id_rsa.swp id_rsa.old id_ed25519 ID_RSA id_ecdsa_sk id_rsa_github deploy_ed25519 my-rsa
ssh_host_rsa_key SERVER.KEY certs/server.key server.key.bak putty.PPK config/master.key
privkey1.pem otr.private_key secring.gpg
x.p12 X.PFX store.pkcs12 keystore.jks debug.keystore vault.kdbx old.kdb x.psafe3 login.keychain-db
http.keytab firefox/key4.db firefox/logins.json
.bash_history .zsh_history .python_history .psql_history fish_history .lesshst
.ipython/profile_default/history.sqlite ConsoleHost_history.txt
.netrc _netrc .pgpass pgpass.conf .my.cnf .pypirc .pypirc~ .npmrc .git-credentials .htpasswd
.dockercfg .dockerconfigjson .s3cfg .boto .databrickscfg kaggle.json
sftp-config.json .vscode/sftp.json recentservers.xml dbeaver-data-sources.xml client.ovpn
credentials .aws_credentials.csv credentials.json credentials.csv credentials.yml credentials.xml
client_secret_12.json service-account.json service_account_prod.json Service-Account.JSON
my-app-firebase-adminsdk-x1.json application_default_credentials.json azureProfile.json
accessTokens.json .config/gcloud/credentials.db .config/gcloud/legacy_credentials/a/adc.json
kubeconfig prod.kubeconfig kubeconfig.yaml terraform.tfstate terraform.tfstate.backup
prod.tfvars secrets.auto.tfvars.json .terraformrc .vault-token .vault_pass.txt .vault-password
.streamlit/secrets.toml app/.streamlit/secrets.toml .streamlit/secrets.toml.bak
.Streamlit/Secrets.toml .secrets.toml secrets.yaml config/secrets.yml
rclone.conf wallet.dat
rsconnect-python/servers.json gcp-service-account.json serviceAccountKey.json
aws-credentials.json db_credentials.yaml
.connect-credentials .zhistory .histfile .curlrc .pg_service.conf office.rdp vault_password_file
ansible-vault-password.txt kube_config_cluster.yml kube.config
.dbt/profiles.yml rsconnect/accounts/connect/me.dcf htpasswd
.cargo/credentials.toml .gem/credentials .config/gh/hosts.yml
"""
SECRET_NAMES = [
    *_SECRET_NAMES.split(),
    *(
        ".env copy",
        ".env (1)",
        ".env copy 2",
        "Copy of .env",
        ".env - Copy",
        "credentials copy.json",
    ),
    *("credentials (1).json", "credentials - Copy.json", "credentials-old.json", "id_rsa copy"),
    *("server (Anna's conflicted copy).key", "%home%me%app%.env.swp", "id_rsa.20240131"),
]

_INNOCENT_NAMES = """
.env.example .env.sample .env.template .env.dist .env.local.example example.env .env.example~
credentials.sample.json client_secret.example.json terraform.tfvars.example .flaskenv
environment.py env.py env.sh environment.yml env.d.ts .environment
id_rsa.pub id_ed25519.pub id_rsa_helper.py rsa.py test_rsa.py
keyboard.py keys.py key.py app.keys monkey.key.txt keyboard.key.md donkey monkey.json
ca.pem cert.pem server.crt public.pem ca-bundle.crt known_hosts authorized_keys
credentials.py credentials.ts src/credentials/__init__.py credential.json
config.json config.toml config.yaml docker/config.json servers.json auth.json token.json tokens.csv
secrets.toml secrets.py secret.py password_reset.html passwords.py
history.csv history purchase_history.csv bash_history.md
netrc netrc.py npmrc.md pgpass.sql vault.py kube.py kubeconfig.py
.streamlit/config.toml .streamlit/pages.toml terraform.tf main.tf state.json
backup.csv data.bak report.old notes~ table.1 app.py.orig copy.py
vault.json vaults.py vault_password.py default.yml profiles.yml accounts/me.json
rsconnect/app.dcf credentials.html
service.json service_worker.js accounts.json keystore.py store.json 2024-01-01.csv
.gitignore .dockerignore Dockerfile LICENSE Makefile hub hosts.yml shadow token
"""
INNOCENT_NAMES = _INNOCENT_NAMES.split()

FIRST_LINE = "-----BEGIN RSA PRIVATE KEY-----"

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")


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
        manifest = write_in_place(configuration(root), built)
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


def pem(kind: str = "RSA ", size: int = 1192, *, end: str = "\n") -> str:
    """Return a key in PEM that opens nothing: its body is noise after the first bytes of DER."""
    body = base64.b64encode(b"0\x82\x04\xa4\x02\x01\x00" + _BYTES.randbytes(size)).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    begin, last = f"-----BEGIN {kind}PRIVATE KEY-----", f"-----END {kind}PRIVATE KEY-----"
    return end.join([begin, *lines, last, ""])


PRIVATE_KEY = pem()
CERTIFICATE = PRIVATE_KEY.replace("RSA PRIVATE KEY", "CERTIFICATE")
PUBLIC = PRIVATE_KEY.replace("RSA PRIVATE KEY", "PUBLIC KEY")
PGP = (
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\nComment: nobody's\n\n"
    + "\n".join(PRIVATE_KEY.splitlines()[1:-1])
    + "\n=AbCd\n-----END PGP PRIVATE KEY BLOCK-----\n"
)
ENCRYPTED = PRIVATE_KEY.replace(
    "KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES,1F\n\n", 1
)


def is_secret(path: str) -> bool:
    rule = forbidden(path)
    return rule is not None and rule.secret


@pytest.mark.parametrize("path", SECRET_NAMES)
def test_a_name_says_that_it_is_a_secret(path: str) -> None:
    assert is_secret(path)


@pytest.mark.parametrize(
    "name", [".aws", ".AWS", ".ssh", ".ssh.bak", ".azure", ".kube", ".docker", ".gnupg", ".oci"]
)
def test_a_folder_of_secrets(name: str) -> None:
    assert is_secret(f"{name}/x")


@pytest.mark.parametrize("path", INNOCENT_NAMES)
def test_a_name_says_nothing(path: str) -> None:
    assert not is_secret(path)


@pytest.mark.parametrize("name", ["aws", "ssh", ".streamlit", ".config", "docker", ".well-known"])
def test_a_folder_of_other_things(name: str) -> None:
    assert not is_secret(f"{name}/x")


SECRET_CONTENT: dict[str, str | bytes] = {
    "after-certificates.pem": CERTIFICATE * 3 + PRIVATE_KEY,
    "far.pem": CERTIFICATE * 3000 + PRIVATE_KEY,
    "crlf.pem": PRIVATE_KEY.replace("\n", "\r\n"),
    "pkcs8.pem": pem(""),
    "ed25519.pem": pem("", 41),
    "encrypted.pem": ENCRYPTED,
    "first-line-alone.pem": "-----BEGIN EC PRIVATE KEY-----",
    "first-line.txt": "the key:\n-----BEGIN EC PRIVATE KEY-----\n",
    "stub.txt": "-----BEGIN RSA PRIVATE KEY-----\nsecret\n-----END RSA PRIVATE KEY-----\n",
    "stub.pem": "-----BEGIN RSA PRIVATE KEY-----\nno real one\n",
    "deploy": pem("OPENSSH "),
    "deploy.openssh": pem("OPENSSH "),
    "a.rsa": PRIVATE_KEY,
    "signing.asc": PGP,
    "signing.gpg.txt": PGP,
    "ssh2.dat": "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: x\nP2/56wAAA\n---- END SSH2",
    "putty.txt": PUTTY,
    "utf16le.pem": PRIVATE_KEY.encode("utf-16-le"),
    "utf16be.pem": PRIVATE_KEY.encode("utf-16-be"),
    "utf16-bom.txt": PRIVATE_KEY.encode("utf-16"),
    "utf16be-bom.txt": b"\xfe\xff" + PRIVATE_KEY.encode("utf-16-be"),
    "utf32.txt": PRIVATE_KEY.encode("utf-32"),
    "utf8-bom.pem": PRIVATE_KEY.encode("utf-8-sig"),
    "utf16-after-other-text.log": "ключ: ".encode("utf-16-le") * 9
    + PRIVATE_KEY.encode("utf-16-le"),
    "appended.log": b"plain text\n" + PRIVATE_KEY.encode("utf-16"),
    "any.json": json.dumps({"tls": {"key": PRIVATE_KEY}}),
    "twice.json": json.dumps({"config": json.dumps({"key": PRIVATE_KEY})}),
    "stub.json": json.dumps({"key": "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"}),
    "lines.json": json.dumps({"key": PRIVATE_KEY.splitlines()}),
    "account.json": SERVICE_ACCOUNT,
    "block.yaml": "tls:\n  key: |\n"
    + "".join(f"    {line}\n" for line in PRIVATE_KEY.splitlines()),
    "folded.yml": 'key: "' + PRIVATE_KEY.replace("\n", "\\n\\\n    ") + '"\n',
    "kubernetes.yaml": "data:\n  tls.crt: "
    + "\n  tls.key: ".join(
        base64.b64encode(x.encode()).decode() for x in (CERTIFICATE, PRIVATE_KEY)
    ),
    "one-line.cfg": "KEY=" + PRIVATE_KEY.replace("\n", " "),
    "values.toml": f'key = """\n{PRIVATE_KEY}"""\n',
    "app.properties": "key=" + PRIVATE_KEY.replace("\n", "\\n\\\n"),
    "dump.sqlite": b"SQLite format 3\0" + bytes(5000) + PRIVATE_KEY.encode() + bytes(300),
    "keys.txt": AGE,
    "age.utf16.txt": AGE.encode("utf-16"),
    "key.der": b"0\x82\x04\xa4\x02\x01\x00\x02\x82\x01\x01" + bytes(64),
    "p8.der": b"0\x82\x04\xbe\x02\x01\x00" + b"0\x0d" + bytes(64),
    "mine.gpg": b"\x95\x03\x98\x04" + bytes(64),
    "mine.pgp": b"\xc5\xc2\x9a\x06" + bytes(64),
    "settings.py": f'KEY = """{PRIVATE_KEY}"""\n',
    "literals.py": "KEY = (\n"
    + "".join(f'    b"{x}\\n"\n' for x in PRIVATE_KEY.splitlines())
    + ")\n",
    "howto.md": f"Use this one:\n\n```\n{PRIVATE_KEY}```\n",
    ".env.example": f'KEY="{PRIVATE_KEY}"\n',
    "id_rsa.pub": PRIVATE_KEY,
    "servers.json": json.dumps({"prod": {"url": "https://c.example", "api_key": "abc"}}),
    "token.json": json.dumps({"token": "a", "refresh_token": "b"}),
    "config.json": json.dumps({"auths": {"ghcr.io": {"auth": "bWU6c2VjcmV0"}}}),
    "pip.conf": "[global]\nindex-url = https://me:secret@pypi.example/simple\n",
    "kubernetes-stub.yaml": "client-key-data: "
    + base64.b64encode(b"-----BEGIN PRIVATE KEY-----\n").decode(),
}


@pytest.mark.parametrize("name", SECRET_CONTENT)
def test_content_says_that_it_is_a_secret(tmp_path: Path, name: str) -> None:
    write_files(tmp_path, {name: SECRET_CONTENT[name]})
    assert secret_in(name, tmp_path / name)


INNOCENT_CONTENT: dict[str, str | bytes] = {
    "cert.pem": CERTIFICATE,
    "chain.pem": CERTIFICATE * 4,
    "public.pem": PUBLIC,
    "cert.der": b"0\x82\x04\xa4" + b"0\x82\x03\x8c\xa0\x03\x02\x01\x02" + bytes(64),
    "public.gpg": b"\x99\x01\x0d\x04" + bytes(64),
    "encrypted.gpg": b"\x85\x01\x0c\x03" + bytes(64),
    "request.csr": PRIVATE_KEY.replace("RSA PRIVATE KEY", "CERTIFICATE REQUEST"),
    "pgp.asc": PGP.replace("PRIVATE", "PUBLIC"),
    "howto.md": f"A key begins with\n\n    {FIRST_LINE}\n    MIIEpAIBAAKCAQEA...\n    -----END\n",
    "guide.rst": f"The line ``{FIRST_LINE}`` comes first, then many more.\n",
    "page.html": f"<pre>{FIRST_LINE}<br>MIIE...<br>-----END RSA PRIVATE KEY-----</pre>",
    "notes.txt": f"If the file begins with {FIRST_LINE}, convert it.\n",
    "guide.txt": f"A key begins with this line:\n\n{FIRST_LINE}\n\nand ends with another.\n",
    "README": f"A key begins with this line:\n\n{FIRST_LINE}\n",
    "loader.py": f'if not text.startswith("{FIRST_LINE}"):\n    raise ValueError(text)\n',
    "test_tls.py": f'KEY = """{FIRST_LINE}\nfake\n-----END RSA PRIVATE KEY-----"""\n',
    "forge.min.js": f'var t="{FIRST_LINE}\\r\\n"+n(e,64)+"\\r\\n-----END RSA PRIVATE KEY-----"',
    "hints.json": json.dumps({"placeholder": FIRST_LINE, "help": f"as {FIRST_LINE} in a file"}),
    "openapi.json": json.dumps({"description": f"Begins with {FIRST_LINE} followed by base64."}),
    "en.json": json.dumps({"private_key": "Private key", "type": "Type"}),
    "schema.json": json.dumps({"properties": {"private_key": {"type": "string"}}}),
    "values.yaml": f"key: |\n  {FIRST_LINE}\n  <your key>\n  -----END RSA PRIVATE KEY-----\n",
    "libcrypto.so": b"\x7fELF"
    + bytes(99)
    + FIRST_LINE.encode()
    + b"\0%s\n\0-----END\0"
    + bytes(99),
    "tool": b"\x7fELF" + bytes(99) + FIRST_LINE.encode() + b"\0\0" + bytes(99),
    "known.txt": "PRIVATE KEY\nAGE-SECRET-KEY-\nLS0tLS1CRUdJTi\n",
    "readme.md": "An age identity looks like `AGE-SECRET-PRIVATE_KEY-1GFPYYSJZGFPYYSJZ...`.\n",
    "putty.md": PUTTY,
    "tls.yaml": "tls.crt: " + base64.b64encode(CERTIFICATE.encode()).decode(),
    "servers.json": json.dumps({"servers": [{"host": "db1"}]}),
    "token.json": json.dumps({"tokens": ["a", "b"]}),
    "config.json": json.dumps({"theme": "dark"}),
    "pip.conf": "[global]\nindex-url = https://pypi.example/simple\n",
    "id_rsa.pub": "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC me@here\n",
    "empty.pem": "",
    "zeros.bin": bytes(70_000),
}


@pytest.mark.parametrize("name", INNOCENT_CONTENT)
def test_content_says_nothing(tmp_path: Path, name: str) -> None:
    write_files(tmp_path, {name: INNOCENT_CONTENT[name]})
    assert secret_in(name, tmp_path / name) is None


def test_there_are_enough_of_them() -> None:
    assert len(SECRET_NAMES) + len(SECRET_CONTENT) >= 60
    assert len(INNOCENT_NAMES) + len(INNOCENT_CONTENT) >= 40


def test_what_cannot_be_read_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder.pem").mkdir()
    assert secret_in("folder.pem", tmp_path / "folder.pem") is None
    assert secret_in("gone.pem", tmp_path / "gone.pem") is None


KEYS = (PRIVATE_KEY, pem("", 41), pem("OPENSSH ", 300), pem("EC ", 114, end="\r\n"), ENCRYPTED, PGP)


@given(
    key=st.sampled_from(KEYS),
    encoding=st.sampled_from(ENCODINGS),
    before=st.one_of(st.binary(max_size=40), st.integers(0, 60_000).map(lambda n: b"\n" * n)),
    after=st.binary(max_size=300),
    name=st.sampled_from(["a.pem", "a", "a.json", "a.yaml", "a.bin", "a.py", "a.md", "a.txt"]),
    size=st.integers(1, 20_000),
)
def test_a_key_is_found_wherever_it_is(
    key: str, encoding: str, before: bytes, after: bytes, name: str, size: int
) -> None:
    # UTF-32 is told by how the file begins; all else is found in the middle of anything.
    data = (b"" if encoding == "utf-32" else before) + key.encode(encoding) + after
    search = SecretSearch(name)
    step = max(size, len(data) // 200)
    for at in range(0, len(data), step):
        search.feed(data[at : at + step])
    assert search.end() == "a private key"


@given(text=st.text(), size=st.integers(1, 50), name=st.sampled_from(["a.pem", "a.json", "a.py"]))
def test_blocks_make_no_difference(text: str, size: int, name: str) -> None:
    data = (text + FIRST_LINE + text).encode("utf-8", "surrogatepass") + CERTIFICATE.encode()
    whole, parts = SecretSearch(name), SecretSearch(name)
    whole.feed(data)
    for at in range(0, len(data), size):
        parts.feed(data[at : at + size])
    assert whole.end() == parts.end()


def test_the_end_of_a_block_is_not_the_end_of_the_file() -> None:
    """A line that holds nothing but how a key begins is one; this line goes on."""
    search = SecretSearch("notes.pem")
    search.feed(b"x\n" * 10_000 + FIRST_LINE.encode())
    search.feed(b" comes first.\n")
    assert search.end() is None


def test_memory_does_not_grow_with_the_file() -> None:
    search, block = SecretSearch("model.bin"), bytes(range(256)) * 4096
    tracemalloc.start()
    for _ in range(64):
        search.feed(block)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert search.end() is None
    assert kept < sys.getsizeof(block)
    assert peak < 4 * sys.getsizeof(block)


@pytest.mark.parametrize("name", ["a.py", "a.json", "a.pem"])
def test_a_text_that_can_be_read_in_many_ways_is_read_in_one(name: str) -> None:
    """Each of these would take minutes if a pattern tried all of them."""
    for tail in ("\\\\n", "\\", "A: b ", '"', "r\"b'", "Abc: x\n", FIRST_LINE, "LS0tLS1CRUdJTi "):
        search = SecretSearch(name)
        search.feed((f"x {FIRST_LINE}" + tail * 5000 + "!\n").encode() * 3)
        assert search.end() is None
    assert not is_secret("x" + ".1" * 120 + "x")
    assert not is_secret("x" + " (1) copy" * 25)
