"""Secrets, recognised by the name of a file or by what it holds.

A secret ships only if a user names that very file. `forbidden` adds what `project/walk` knows to be
no content, which ships also if a user names its folder. Content is searched block by block, so that
a file need not be read twice.
"""

from __future__ import annotations

import os
import re
from binascii import a2b_base64
from dataclasses import dataclass
from fnmatch import translate
from functools import cache, lru_cache
from io import FileIO
from typing import TYPE_CHECKING

from hatch_connect.bundle.manifest import MANIFEST_NAME
from hatch_connect.project.walk import generated_file, never_content

if TYPE_CHECKING:
    from pathlib import Path

# Patterns of names in small letters; the names are those that secret scanners look for.
_NAMES = {
    "environment variables": (
        *(".env", ".env.*", ".env-*", ".env_*", "*.env", ".envrc", ".envrc.*", ".dev.vars"),
        *(".renviron", ".renviron.*"),
    ),
    "a private key": (
        *("*.key", "*.keypair", "*.ppk", "*.pvk", "*.pk8", "*.pkcs8", "privkey*.pem"),
        *("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_ecdsa_sk", "id_ed25519_sk", "id_xmss"),
        *("ssh_host_*_key", "*private_key", "*private-key", "secring.gpg"),
    ),
    "a key store": (
        *("*.p12", "*.pfx", "*.pkcs12", "*.jks", "*.jceks", "*.bks", "*.bcfks", "*.keystore"),
        *("*.kdb", "*.kdbx", "*.psafe3", "*.1pif", "*.agilekeychain", "*.opvault", "*.kwallet"),
        *("*.keychain", "*.keychain-db", "*.keyring", "*.keytab", "*.bek"),
        *("key3.db", "key4.db", "logins.json", "signons.sqlite", "login data"),
    ),
    "a history of commands": (
        *(".*_history", ".history", "bash_history", "zsh_history", "fish_history"),
        *("consolehost_history.txt", ".histfile", ".zhistory", ".lesshst", ".viminfo", ".dbshell"),
    ),
    "credentials": (
        # of the network, of package indexes and of databases
        *(".netrc", "_netrc", ".pgpass", "pgpass.conf", ".my.cnf", ".mylogin.cnf", ".pypirc"),
        *(".npmrc", ".*[-_]credentials", ".htpasswd", ".htdigest", ".dockercfg", ".hgrc"),
        *(".dockerconfigjson", ".smbcredentials", "htpasswd", "proftpdpasswd"),
        *(".ftpconfig", "sftp-config.json", ".remote-sync.json", "filezilla.xml"),
        *("recentservers.xml", "sitemanager.xml", "dbeaver-data-sources*.xml", "robomongo.json"),
        *(".msmtprc", ".esmtprc", ".fetchmailrc", ".muttrc", ".curlrc", "_curlrc", ".wgetrc"),
        *("*.ovpn", "*.rdp", "*.publishsettings", ".pg_service.conf", ".cqlshrc"),
        # of clouds and services
        *("credentials", ".credentials", "credentials.csv", "credentials.db", "credentials.ini"),
        *("credentials.json", "credentials.toml", "credentials.xml", "credentials.y*ml"),
        *("*[-_.]credentials.json", "*[-_.]credentials.y*ml", "*[-_.]credentials.toml"),
        *("*_credentials.csv", "*accesskeys.csv", "rootkey.csv", "aws_credentials"),
        *(".s3cfg", ".boto", ".passwd-s3fs", ".tugboat", ".databrickscfg", "kaggle.json"),
        *("client_secret*.json", "*service[-_]account*.json", "*serviceaccount*.json"),
        *("*firebase-adminsdk*.json", ".vaultpass", ".sentryclirc", ".databricks-connect"),
        *("application_default_credentials.json", "access_tokens.db", "token.pickle"),
        *("accesstokens.json", "azureprofile.json", "msal_token_cache.*", "*.cscfg"),
        *("serviceprincipalprofile.json", "kubeconfig", "*kubeconfig.y*ml", "*.kubeconfig"),
        *("kube[-_.]config", "kube[-_]config*.y*ml", "*.azureauth", "adc.json"),
        *("*[-_]kubeconfig", "*.tfstate", "*.tfstate.*", "*.tfvars", "*.tfvars.json"),
        *(".terraformrc", "terraform.rc", "credentials.tfrc.json", ".vault-token", "vault-token"),
        *(".vault[-_]pass*", "*vault[-_]pass", "*vault[-_]password", "*vault[-_]password.txt"),
        *("vault[-_]pass.txt", "*vault[-_]password[-_]file", "ngrok.yml"),
        # of programs
        *(".secrets", ".secrets.json", ".secrets.toml", ".secrets.y*ml", "secrets.json"),
        *(
            "secrets.y*ml",
            "rclone.conf",
            "wallet.dat",
            "secret_token.rb",
            "wp-config.php",
            "localsettings.php",
        ),
    ),
}
# The same of whole paths, each of which begins with a slash here.
_PATHS = {
    "environment variables": ("*/.env/*", "*/.envs/*"),
    "a history of commands": ("*/.ipython/*history.sqlite*", "*/profile_default/history.sqlite*"),
    "credentials": (
        *("*/.streamlit/secrets.toml", "*/rsconnect-python/servers.json", "*/etc/shadow"),
        *("*/.config/gcloud/*", "*/.config/hub", "*/.config/gh/hosts.yml", "*/doctl/config.yaml"),
        *("*/.m2/settings*.xml", "*/.dbt/profiles.yml", "*/rsconnect/accounts/*"),
        *("*/.composer/auth.json", "*/huggingface/token"),
        *("*/.vscode/sftp.json", "*/.idea/webservers.xml", "*/.jupyter/*config.json"),
    ),
}
_FOLDERS = frozenset(
    {".aws", ".azure", ".docker", ".gcloud", ".gnupg", ".gsutil", ".kube", ".minikube", ".mozilla"}
    | {".oci", ".password-store", ".snowflake", ".snowsql", ".ssh", "private-keys-v1.d"}
)
# ssh-keygen's types at the end of a name of one's own choice: deploy_ed25519, id_rsa_github.
_SSH_KEY = r"\.?[^.]*[-_](?:rsa|dsa|ecdsa|ed25519)|id_(?:rsa|dsa|ecdsa|ed25519)[-_][^.]*"
# Templates that hold no values yet: `.env.example`, `credentials.sample.json`, `example.env`.
_TEMPLATE = re.compile(r"(?:.*[._-])?(?:dist|example|sample|template|tmpl)s?(?:\.[a-z0-9]+)?")
# What editors, file managers and people add to the name of a copy: before it, after it, and
# before its suffix. What a search begins with lets it pass over most letters at once.
_COPY_OF = re.compile(r"\._|\.?#|~\$|\.~lock\.|(?:copy|kopie|copie|copia)[ _-](?:of|von|de)[ _-]")
_COPY = r"[ ._-]+(?:backup|bak|copy|copia|copie|kopie|new|old|orig)|\ ?\([^()]*\)|\ copy\ [0-9]+"
_COPIED = re.compile(
    r"(?=[~#._( -])"
    r"(?:~|\#|\.(?:back|bck|bkp|disabled|kate-swp|off|original|prev|previous|rej|sav|save|saved"
    r"|sw[a-p]|sync-conflict-[^.]*|temp|tmp|un~|7z|bz2|gz|rar|tar|tgz|xz|zip|zst)"
    r"|[._-][0-9][0-9._-]*|" + _COPY + r")\Z"
)
_COPIED_BEFORE_SUFFIX = re.compile(r"(?=[._( -])(?:[._-][0-9]+|" + _COPY + r")(?=\.[a-z0-9]+\Z)")

_BLOCK = 1 << 18
_BEHIND, _AHEAD = 4096, 8192  # bytes before and after a find that decide (2 to 4 each in UTF-16)
_HEAD, _LINE = 8192, 512
# bytes.find is far faster than a regular expression, which only judges what it finds. The last one
# is base64 of `-----BEGIN`.
_PEM, _AGE, _ENCODED = b"PRIVATE KEY", b"AGE-SECRET-KEY-", b"LS0tLS1CRUdJTi"
_WIDE_PEM = b"\0".join(bytes([byte]) for byte in _PEM)  # UTF-16, in either order
_SERVICE_ACCOUNT = b'"private_key"'
# A byte-order mark, or four characters of ASCII in which every other byte is NUL.
_UTF16 = re.compile(rb"\xff\xfe|\xfe\xff|\0\0\xfe\xff|(?:[^\0]\0){4}|(?:\0[^\0]){4}")

# The parts of a PEM key's first line (RFC 7468) before and after the words that are searched for.
# If nothing else is on that line, this suffices in a file for keys, and at the end of any file.
_BEFORE = re.compile(
    rb"(?P<alone>(?:\A|[\r\n])[ \t\xef\xbb\xbf\xff\xfe]*)?-{4,5} ?BEGIN (?:[A-Z0-9]+ ){0,4}\Z"
)
_AFTER = rb"PRIVATE KEY(?: BLOCK)? ?-{4,5}"
_ALONE = re.compile(_AFTER + rb"[ \t]*(?:[\r\n]|\Z)")
_LAST = re.compile(_AFTER + rb"\s*\Z")
# What may lie between the lines of a key: line breaks, also escaped ones, and the characters of
# string literals, quotations and comments. Possessive quantifiers (*+, ++) never backtrack, so that
# the time is linear for any text.
_BREAK = rb"(?:[\r\n]|\\{1,8}[nr]|&\#(?:10|13|x[aAdD]);|<br ?/?>)"
_SIGN = rb"""(?:[ \t"'`,+>|;*\#]|\\(?!\\{0,7}[nr])|[bfru]{1,2}(?=["']))"""
_BETWEEN = rb"(?:" + _BREAK + rb"|" + _SIGN + rb")"
_FIELD = rb"[A-Z][A-Za-z-]{2,20}: ?[^\r\n\\]{0,200}+" + _BETWEEN + rb"++"  # Proc-Type: ...
_BASE64 = rb"[A-Za-z0-9+/=]"
_END = _BETWEEN + rb"*+-{4,5} ?END"
# In data, the next line must begin with something that is no word of a sentence, such as the
# usual first bytes of DER in base64 (MI..., MH..., MC4). Few projects need these two: they are
# compiled where something was found, and `re` keeps them.
_IN_DATA = (
    _AFTER + rb"(?:" + _SIGN + rb"*+" + _BREAK + _BETWEEN + rb"*+(?:" + _FIELD + rb"){0,4}+"
    rb"(?:MI[A-K]|MH[Qa-z]|MC4|(?![A-Za-z][a-z]*+[^A-Za-z0-9+/=])" + _BASE64 + rb"{8}"
    rb"|" + _BASE64 + rb"++" + _END + rb")|" + _BETWEEN + rb"*+" + _BASE64 + rb"{40})"
)
# Documentation and source code often show how a key begins: here most of a key must follow.
_IN_TEXT = (
    _AFTER + _BETWEEN + rb"*+(?:" + _FIELD + rb"){0,4}+(?:" + _BASE64 + rb"{200}"
    rb"|" + _BASE64 + rb"{48,199}+(?:" + _BETWEEN + rb"++" + _BASE64 + rb"{16}|" + _END + rb"))"
)
_AGE_IN_DATA, _AGE_IN_TEXT = (
    re.compile(rb"AGE-SECRET-KEY-(?:PQ-)?1[A-Z0-9]" + least) for least in (rb"{8}", rb"{50}")
)
_ENCODED_RUN = re.compile(rb"(?:[A-Za-z0-9+/]|\s(?=[A-Za-z0-9+/]{20}))+")
_ENCODED_LEAST, _ENCODED_IN_TEXT = 32, 200
_ENCODED_HEADER = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY")
_PUTTY = re.compile(rb"[\s\xef\xbb\xbf\xff\xfe]*PuTTY-User-Key-File-\d")
# PKCS#1, SEC1 and PKCS#8 in DER: a sequence that begins with the version, 0 or 1; and OpenPGP's
# packet for a secret key (RFC 9580, section 4.2: tag 5 in the old and the new format).
_BINARY = re.compile(
    rb"0(?:[\x0a-\x7f]|\x81.|\x82..)\x02\x01(?:\0[0\x02]|\x01[0\x04])"
    rb"|(?:\x94.|\x95..|\xc5[\0-\xbf]|\xc5[\xc0-\xdf].)[\x04-\x06]",
    re.DOTALL,
)
_ACCOUNT_TYPE = re.compile(rb'"type"\s*:\s*"service_account"')
_ACCOUNT_KEY = re.compile(rb'"private_key"\s*:\s*"[^"]')

_KEY_FILES = frozenset(
    {"", "asc", "cer", "cert", "crt", "der", "gpg", "key", "openssh", "p8", "pem", "pgp", "pk8"}
    | {"priv", "private", "pub", "ssh"}
)
_TEXTS = frozenset(
    {"adoc", "htm", "html", "ipynb", "markdown", "md", "mdx", "org", "po", "qmd", "rmd", "rst"}
    | {"svg", "tex", "xhtml", "example", "sample", "template", "tmpl", "j2", "jinja", "jinja2"}
    | {"bat", "c", "cc", "cpp", "cs", "css", "go", "h", "hpp", "java", "jl", "kt", "lua", "map"}
    | {"cjs", "js", "jsx", "mjs", "mts", "cts", "ts", "tsx", "svelte", "vue", "php", "pl", "ps1"}
    | {"py", "pyi", "pyx", "r", "rb", "rs", "scala", "sh", "sql", "swift"}
)
_TEXT_NAMES = frozenset(
    {"authors", "changelog", "changes", "contributing", "copying", "dockerfile", "history"}
    | {"install", "jenkinsfile", "license", "makefile", "news", "notice", "readme", "todo"}
)
# Files with ordinary names, which hold a token if they contain these bytes.
_TOKENS = {
    "servers.json": b'"api_key"',
    "token.json": b'"refresh_token"',
    ".yarnrc.yml": b"npmAuthToken",
    ".yarnrc": b"_authToken",
    "config.json": b'"auths"',
    "pip.conf": b"@",
    "pip.ini": b"@",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbidden:
    """A rule that keeps a file back; if `secret`, only naming that very file overrides it."""

    rule: str
    secret: bool


def forbidden(path: str, source: Path | None = None) -> Forbidden | None:
    """Return the rule that keeps a file back, or None; its content counts if `source` is given.

    A secret in a folder of generated files stays back even if a user names that folder.
    """
    folder, _, name = path.rpartition("/")
    above = _forbidden_above(folder)
    secret = above.rule if above and above.secret else _secret_by_name(path)
    if secret is None and source is not None:
        secret = secret_in(name, source)
    if secret:
        return Forbidden(rule=secret, secret=True)
    if above:
        return above
    generated = generated_file(name)
    if path == MANIFEST_NAME:
        generated = "the manifest of an earlier build"
    return Forbidden(rule=generated, secret=False) if generated else None


@lru_cache(1024)
def _forbidden_above(folder: str) -> Forbidden | None:
    """Return the rule of the folders in a path by which all below them is kept back, or None."""
    found = tuple(filter(None, map(forbidden_folder, folder.split("/"))))
    return next((each for each in found if each.secret), found[0] if found else None)


@lru_cache(1024)
def forbidden_folder(name: str) -> Forbidden | None:
    """Return which rule keeps a folder of this name back, tracked by git or not; or None."""
    if _is_secret_folder(name):
        return Forbidden(rule="credentials", secret=True)
    rule = never_content(name)
    return Forbidden(rule=rule, secret=False) if rule else None


def _secret_by_name(path: str) -> str | None:
    """Return what a file is by its path, None if that says nothing; copies count as the file."""
    folder, slash, name = path.lower().rstrip().rpartition("/")
    originals, rule = _by_name_alone(name)
    if rule is None and slash and _may_name_secret(folder):
        rule = next(filter(None, (_rule(f"/{folder}/{each}") for each in originals)), None)
    if rule in {"credentials", "environment variables"} and any(
        map(_TEMPLATE.fullmatch, originals)
    ):
        return None
    return rule


@lru_cache(16)  # a file of a package is asked for twice: as it ships, and as it lies in src/
def _by_name_alone(name: str) -> tuple[tuple[str, ...], str | None]:
    """Return the names that count for a file of this name, and the rule against one, or None."""
    originals = _originals(name)
    return originals, next(filter(None, map(_rule, originals)), None)


@lru_cache(1024)
def _may_name_secret(folder: str) -> bool:
    """Return whether the path of a file in a folder may name a secret that its name does not."""
    return _folder_pattern().fullmatch(f"/{folder}/") is not None


@lru_cache(1024)
def _is_secret_folder(name: str) -> bool:
    """Return whether a folder of this name, or a copy of it, holds secrets."""
    return not _FOLDERS.isdisjoint(_originals(name.lower()))


def _originals(name: str) -> tuple[str, ...]:
    """Return a name, and that of the file of which it would be a copy."""
    original = name
    if begin := _COPY_OF.match(name):
        original = name[begin.end() :]
    while (end := _COPIED.search(original)) and end.start():
        original = original[: end.start()]
    original = _COPIED_BEFORE_SUFFIX.sub("", original)
    if original == name:
        return (name,)
    return name, original, original.removeprefix(".")  # Vim puts a dot before a swap file's name


def _rule(name: str) -> str | None:
    found = _name_pattern().fullmatch(name)
    return found and found.lastgroup and found.lastgroup.replace("_", " ")


@cache
def _name_pattern() -> re.Pattern[str]:
    """Return one pattern for all names, with a group for each rule."""
    groups = []
    for rule, names in _NAMES.items():
        patterns = (*names, *_PATHS.get(rule, ()))
        begun = [translate(each) for each in patterns if not each.startswith("*")]
        if rule == "a private key":
            begun.append(_SSH_KEY)
        # One search for all endings that begin alike takes far less time than one for each.
        ended: dict[str, list[str]] = {}
        for ending in (each[1:] for each in patterns if each.startswith("*")):
            begin = ending[0] if ending[0] in "./" else ""
            ended.setdefault(re.escape(begin), []).append(translate(ending.removeprefix(begin)))
        endings = "|".join(f"{begin}(?:{'|'.join(each)})" for begin, each in ended.items())
        groups.append(f"(?P<{rule.replace(' ', '_')}>{'|'.join(begun)}|.*(?:{endings}))")
    return re.compile("|".join(groups), re.DOTALL)


@cache
def _folder_pattern() -> re.Pattern[str]:
    """Return one for folders (`/a/b/`) whose names may be part of a path that is a secret."""
    begins = {
        pattern[: found.end()]
        for each in (*_NAMES.values(), *_PATHS.values())
        for pattern in each
        for found in re.finditer(r"/(?=[^/]*\Z)|(?<=.)\*(?=[^/]*\Z)", pattern)
    }
    return re.compile("|".join(map(translate, sorted(begins))), re.DOTALL)


class SecretSearch:
    """Looks for a private key, or a well-known token, in a file of this name that is fed to it.

    `found` is what was found, None so far. Memory does not grow with the file.
    """

    def __init__(self, name: str) -> None:
        name = name.rpartition("/")[2].lower()
        stem, _, suffix = name.rpartition(".")
        self._suffix = suffix if stem else ""
        self._text = self._suffix in _TEXTS or name in _TEXT_NAMES
        self._key_file = self._suffix in _KEY_FILES and not self._text
        self._token = _TOKENS.get(name)
        self._kept = b""
        self._begun = self._binary = self._wide = False
        self.found: str | None = None

    def feed(self, block: bytes) -> None:
        """Look at the next bytes of the file."""
        if self.found is None:
            data = self._kept + (block.replace(b"\0", b"") if self._wide else block)
            if len(data) > _BEHIND + _AHEAD:
                data = self._look(data, last=False)
                self._kept = data[-_BEHIND - _AHEAD :]
            else:
                self._kept = data

    def end(self) -> str | None:
        """Look at what is left when the file has ended; return what was found in all of it."""
        if self.found is None:
            self._look(self._kept, last=True)
            self._kept = b""
        return self.found

    def _look(self, data: bytes, *, last: bool) -> bytes:
        if not self._begun:
            data = self._begin(data)
        # A file with NUL bytes at its start is not text: it is not searched for encoded keys.
        needles = (_PEM,) if self._binary else (_PEM, _AGE, _ENCODED)
        # `find` is slowest in runs of NUL bytes, except for a single letter: look for "V" first.
        if b"\0" in data and b"V" in data:
            needles = (*needles, _WIDE_PEM)
        if any(self._find(needle, data, last=last) for needle in needles):
            self.found = "a private key"
        elif (self._token and self._token in data) or (
            self._suffix == "json" and self._find(_SERVICE_ACCOUNT, data, last=last)
        ):
            self.found = "credentials"
        return data

    def _begin(self, data: bytes) -> bytes:
        """Look at the first bytes of a file; return them, converted to ASCII if they are UTF-16."""
        self._begun = True
        if _UTF16.match(data):
            self._wide = True
            data = data.replace(b"\0", b"")
        self._binary = b"\0" in data[:_HEAD]
        binary = self._key_file and self._suffix and _BINARY.match(data)
        if binary or (not self._text and _PUTTY.match(data)):
            self.found = "a private key"
        return data

    def _find(self, needle: bytes, data: bytes, *, last: bool) -> bool:
        # A find too near to the end is left for the next block, which holds what follows it.
        end = len(data) if last else len(data) - _AHEAD
        at = data.find(needle, 0, end + len(needle))
        while 0 <= at < end:
            if self._decides(needle, data[max(0, at - _BEHIND) : at], data[at : at + _AHEAD]):
                return True
            at = data.find(needle, at + len(needle), end + len(needle))
        return False

    def _decides(self, needle: bytes, before: bytes, after: bytes) -> bool:
        if needle is _ENCODED:
            return self._is_encoded_key(after)
        if needle is _AGE:
            return bool((_AGE_IN_TEXT if self._text else _AGE_IN_DATA).match(after))
        if needle is _SERVICE_ACCOUNT:
            return bool(_ACCOUNT_KEY.match(after) and _ACCOUNT_TYPE.search(before + after))
        return self._is_pem(before[-_LINE:].replace(b"\0", b""), after.replace(b"\0", b""))

    def _is_pem(self, before: bytes, after: bytes) -> bool:
        begin = _BEFORE.search(before)
        if begin is None:
            return False
        if self._text:
            return bool(re.match(_IN_TEXT, after))
        alone = _ALONE if self._key_file else _LAST
        if begin["alone"] is not None and alone.match(after):
            return True
        return bool(re.match(_IN_DATA, after))

    def _is_encoded_key(self, text: bytes) -> bool:
        """Return whether base64 holds a key in PEM, as in secrets of Kubernetes."""
        run = _ENCODED_RUN.match(text)
        encoded = b"".join(run[0].split()) if run else b""
        least = _ENCODED_IN_TEXT if self._text else _ENCODED_LEAST
        length = min(len(encoded), 2 * _ENCODED_LEAST) // 4 * 4
        begin = a2b_base64(encoded[:length]) if len(encoded) >= least else b""
        return bool(_ENCODED_HEADER.match(begin))


def _may_hold_secret(name: str, data: bytes) -> bool:
    """Return False for nearly all files: those in which a SecretSearch can find nothing."""
    name = name.rpartition("/")[2].lower()
    return (
        b"\0" in data
        or b"KEY" in data
        or _ENCODED in data
        or _PUTTY.match(data) is not None
        or name in _TOKENS
        or name.rpartition(".")[2] in _KEY_FILES
        or (name.endswith(".json") and _SERVICE_ACCOUNT in data)
    )


def secret_in(name: str, source: Path | str | bytes, *, size: int | None = None) -> str | None:
    """Return what kind of secret a file holds, or what was read of it.

    None if it holds none or cannot be read. `name` tells the kind of file, because documentation
    may show how a key begins; `size` is known of a regular file that was looked at: opening a pipe
    would wait for its writer.
    """
    if isinstance(source, bytes) and not _may_hold_secret(name, source):
        return None
    search = SecretSearch(name)
    if isinstance(source, bytes):
        search.feed(source)
        return search.end()
    if size is None and not os.path.isfile(source):
        return None
    asked = _BLOCK if size is None else min(_BLOCK, size + 1)
    try:
        with FileIO(source) as file:
            while search.found is None and (block := file.read(asked)):
                search.feed(block)
                if size is not None and (size := size - len(block)) == 0:
                    break
    except OSError:
        return None
    return search.end()
