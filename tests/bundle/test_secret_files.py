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
from support.bundles import write_files

from hatch_connect.bundle.secret_files import (
    SecretSearch,
    is_secret_folder,
    secret_by_name,
    secret_in,
)

if TYPE_CHECKING:
    from pathlib import Path

_BYTES = random.Random(1)


def pem(kind: str = "RSA ", size: int = 1192, *, end: str = "\n") -> str:
    """Return a key in PEM that opens nothing: its body is noise after the first bytes of DER."""
    body = base64.b64encode(b"0\x82\x04\xa4\x02\x01\x00" + _BYTES.randbytes(size)).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    begin, last = f"-----BEGIN {kind}PRIVATE KEY-----", f"-----END {kind}PRIVATE KEY-----"
    return end.join([begin, *lines, last, ""])


KEY = pem()
CERTIFICATE = KEY.replace("RSA PRIVATE KEY", "CERTIFICATE")
PUBLIC = KEY.replace("RSA PRIVATE KEY", "PUBLIC KEY")
PGP = (
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\nComment: nobody's\n\n"
    + "\n".join(KEY.splitlines()[1:-1])
    + "\n=AbCd\n-----END PGP PRIVATE KEY BLOCK-----\n"
)
ENCRYPTED = KEY.replace("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES,1F\n\n", 1)
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


@pytest.mark.parametrize("path", SECRET_NAMES)
def test_a_name_says_that_it_is_a_secret(path: str) -> None:
    assert secret_by_name(path)


@pytest.mark.parametrize(
    "name", [".aws", ".AWS", ".ssh", ".ssh.bak", ".azure", ".kube", ".docker", ".gnupg", ".oci"]
)
def test_a_folder_of_secrets(name: str) -> None:
    assert is_secret_folder(name)


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


@pytest.mark.parametrize("path", INNOCENT_NAMES)
def test_a_name_says_nothing(path: str) -> None:
    assert secret_by_name(path) is None


@pytest.mark.parametrize("name", ["aws", "ssh", ".streamlit", ".config", "docker", ".well-known"])
def test_a_folder_of_other_things(name: str) -> None:
    assert not is_secret_folder(name)


SECRET_CONTENT: dict[str, str | bytes] = {
    "after-certificates.pem": CERTIFICATE * 3 + KEY,
    "far.pem": CERTIFICATE * 3000 + KEY,
    "crlf.pem": KEY.replace("\n", "\r\n"),
    "pkcs8.pem": pem(""),
    "ed25519.pem": pem("", 41),
    "encrypted.pem": ENCRYPTED,
    "first-line-alone.pem": "-----BEGIN EC PRIVATE KEY-----",
    "first-line.txt": "the key:\n-----BEGIN EC PRIVATE KEY-----\n",
    "stub.txt": "-----BEGIN RSA PRIVATE KEY-----\nsecret\n-----END RSA PRIVATE KEY-----\n",
    "stub.pem": "-----BEGIN RSA PRIVATE KEY-----\nno real one\n",
    "deploy": pem("OPENSSH "),
    "deploy.openssh": pem("OPENSSH "),
    "a.rsa": KEY,
    "signing.asc": PGP,
    "signing.gpg.txt": PGP,
    "ssh2.dat": "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: x\nP2/56wAAA\n---- END SSH2",
    "putty.txt": PUTTY,
    "utf16le.pem": KEY.encode("utf-16-le"),
    "utf16be.pem": KEY.encode("utf-16-be"),
    "utf16-bom.txt": KEY.encode("utf-16"),
    "utf16be-bom.txt": b"\xfe\xff" + KEY.encode("utf-16-be"),
    "utf32.txt": KEY.encode("utf-32"),
    "utf8-bom.pem": KEY.encode("utf-8-sig"),
    "utf16-after-other-text.log": "ключ: ".encode("utf-16-le") * 9 + KEY.encode("utf-16-le"),
    "appended.log": b"plain text\n" + KEY.encode("utf-16"),
    "any.json": json.dumps({"tls": {"key": KEY}}),
    "twice.json": json.dumps({"config": json.dumps({"key": KEY})}),
    "stub.json": json.dumps({"key": "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"}),
    "lines.json": json.dumps({"key": KEY.splitlines()}),
    "account.json": SERVICE_ACCOUNT,
    "block.yaml": "tls:\n  key: |\n" + "".join(f"    {line}\n" for line in KEY.splitlines()),
    "folded.yml": 'key: "' + KEY.replace("\n", "\\n\\\n    ") + '"\n',
    "kubernetes.yaml": "data:\n  tls.crt: "
    + "\n  tls.key: ".join(base64.b64encode(x.encode()).decode() for x in (CERTIFICATE, KEY)),
    "one-line.cfg": "KEY=" + KEY.replace("\n", " "),
    "values.toml": f'key = """\n{KEY}"""\n',
    "app.properties": "key=" + KEY.replace("\n", "\\n\\\n"),
    "dump.sqlite": b"SQLite format 3\0" + bytes(5000) + KEY.encode() + bytes(300),
    "keys.txt": AGE,
    "age.utf16.txt": AGE.encode("utf-16"),
    "key.der": b"0\x82\x04\xa4\x02\x01\x00\x02\x82\x01\x01" + bytes(64),
    "p8.der": b"0\x82\x04\xbe\x02\x01\x00" + b"0\x0d" + bytes(64),
    "mine.gpg": b"\x95\x03\x98\x04" + bytes(64),
    "mine.pgp": b"\xc5\xc2\x9a\x06" + bytes(64),
    "settings.py": f'KEY = """{KEY}"""\n',
    "literals.py": "KEY = (\n" + "".join(f'    b"{x}\\n"\n' for x in KEY.splitlines()) + ")\n",
    "howto.md": f"Use this one:\n\n```\n{KEY}```\n",
    ".env.example": f'KEY="{KEY}"\n',
    "id_rsa.pub": KEY,
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


FIRST_LINE = "-----BEGIN RSA PRIVATE KEY-----"
INNOCENT_CONTENT: dict[str, str | bytes] = {
    "cert.pem": CERTIFICATE,
    "chain.pem": CERTIFICATE * 4,
    "public.pem": PUBLIC,
    "cert.der": b"0\x82\x04\xa4" + b"0\x82\x03\x8c\xa0\x03\x02\x01\x02" + bytes(64),
    "public.gpg": b"\x99\x01\x0d\x04" + bytes(64),
    "encrypted.gpg": b"\x85\x01\x0c\x03" + bytes(64),
    "request.csr": KEY.replace("RSA PRIVATE KEY", "CERTIFICATE REQUEST"),
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
    "readme.md": "An age identity looks like `AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZ...`.\n",
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


ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")
KEYS = (KEY, pem("", 41), pem("OPENSSH ", 300), pem("EC ", 114, end="\r\n"), ENCRYPTED, PGP)


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
    assert secret_by_name("x" + ".1" * 120 + "x") is None
    assert secret_by_name("x" + " (1) copy" * 25) is None
