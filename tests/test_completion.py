"""What shells complete: bash, zsh and fish themselves, if they are installed."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from hatch_connect.display import clean

if TYPE_CHECKING:
    from support.sandbox import Sandbox

BIN = Path(sys.executable).parent
SHELLS = {
    "bash": ("--norc", "--noprofile", "-i"),
    "zsh": ("-f", "-i"),
}
SETUP = {
    "bash": "PS1='READY''> '; eval \"$(hatch-connect completion bash)\"\n",
    "zsh": (
        'autoload -U compinit; compinit -u -D; eval "$(hatch-connect completion zsh)";'
        " PS1='READY''> '\n"
    ),
}
SHOP = """\
[tool.hatch-connect.content.orders]
entrypoint = "orders:app"

[tool.hatch-connect.content.stock]
entrypoint = "stock:app"
"""


def store(sandbox: Sandbox, text: str) -> None:
    place = sandbox.home / ".rsconnect-python" / "servers.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")


@pytest.fixture
def project(sandbox: Sandbox, tmp_path: Path) -> Path:
    servers = {
        name: {"name": name, "url": f"https://{name}.example", "api_key": "key"}
        for name in ("prod", "preview", "staging")
    }
    store(sandbox, json.dumps(servers))
    (tmp_path / "pyproject.toml").write_text(SHOP, encoding="utf-8")
    return tmp_path


def offered(sandbox: Sandbox, folder: Path, line: str) -> list[tuple[str, ...]]:
    """Return what a shell would offer at the end of a line: kind, value and help of each."""
    words = line.split(" ")
    done = sandbox.python(
        "-m",
        "hatch_connect",
        cwd=folder,
        _HATCH_CONNECT_COMPLETE="zsh_complete",
        COMP_WORDS=line,
        COMP_CWORD=str(len(words) - 1),
    )
    assert (done.code, done.stderr) == (0, ""), done.said
    lines = done.stdout.strip("\n").splitlines()
    return list(zip(*[iter(lines)] * 3, strict=True))


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("deploy -n pr", ["preview", "prod"]),
        ("rollback --name st", ["staging"]),
        ("promote --from ", ["preview", "prod", "staging"]),
        ("promote --from staging --to pro", ["prod"]),
        ("deploy --content ", ["orders", "stock"]),
        ("logs --content st", ["stock"]),
        ("deploy --package-installer ", ["pip", "uv"]),
        ("roll", ["rollback"]),
        ("completion ", ["bash", "zsh", "fish"]),
        ("rollback --bundle-id ", []),
        ("deploy -s ", []),
    ],
)
def test_values_are_offered(line: str, values: list[str], sandbox: Sandbox, project: Path) -> None:
    assert [value for _, value, _ in offered(sandbox, project, f"hatch-connect {line}")] == values


def test_servers_are_offered_with_their_urls(sandbox: Sandbox, project: Path) -> None:
    assert offered(sandbox, project, "hatch-connect deploy -n prod") == [
        ("plain", "prod", "https://prod.example")
    ]


@pytest.mark.parametrize(
    ("line", "kind"),
    [("deploy --lock ", "file"), ("deploy ", "file"), ("deploy --directory ", "dir")],
)
def test_files_are_left_to_the_shell(line: str, kind: str, sandbox: Sandbox, project: Path) -> None:
    assert [each for each, _, _ in offered(sandbox, project, f"hatch-connect {line}")] == [kind]


def test_contents_are_those_of_the_folder_that_is_named(
    sandbox: Sandbox, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    line = f"hatch-connect deploy --directory {project} --content "
    assert [value for _, value, _ in offered(sandbox, elsewhere, line)] == ["orders", "stock"]
    assert offered(sandbox, elsewhere, "hatch-connect deploy --content ") == []


@pytest.mark.parametrize("text", ["{", "[]", '{"prod": 1}', '{"prod": {"url": 1}}', "\0"])
def test_what_cannot_be_read_completes_to_nothing(
    text: str, sandbox: Sandbox, project: Path
) -> None:
    store(sandbox, text)
    before = sorted(project.parent.rglob("*"))
    (project / "pyproject.toml").write_bytes(b"[tool\xff" + text.encode())
    for option in ("-n", "--content", "--from"):
        command = "promote" if option == "--from" else "deploy"
        assert offered(sandbox, project, f"hatch-connect {command} {option} ") == []
    assert sorted(project.parent.rglob("*")) == before


def test_a_shell_that_click_does_not_know_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    done = sandbox.connect("completion", "tcsh", cwd=tmp_path)
    assert done.code == 2
    assert "'bash', 'zsh', 'fish'" in done.stderr


def environment(sandbox: Sandbox) -> dict[str, str]:
    """Return the environment of a shell that finds this `hatch-connect`."""
    usual = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "TERM": "xterm", "LANG": "C.UTF-8"}
    return usual | {"HOME": str(sandbox.home)}


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        # Click's script ends a help at its first comma.
        ("deploy --dry", {"--dry-run\tShow what would change"}),
        ("deploy -n pr", {"preview\thttps://preview.example", "prod\thttps://prod.example"}),
    ],
)
def test_fish_completes(typed: str, completed: set[str], sandbox: Sandbox, project: Path) -> None:
    script = f'hatch-connect completion fish | source; complete -C "hatch-connect {typed}"'
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        cwd=project,
        env=environment(sandbox),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert set(done.stdout.splitlines()) == completed


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals of POSIX")
@pytest.mark.parametrize("shell", SHELLS)
def test_bash_and_zsh_complete(shell: str, sandbox: Sandbox, project: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    with Typed(shell, sandbox, project) as line:
        line.type(SETUP[shell], until="READY> ")
        line.type("hatch-connect depl\t", until="deploy ")
        line.type("--dry\t", until="--dry-run ")
        line.type("-n st\t", until="staging ")
        line.type("--content sto\t", until="stock ")
        line.type("--lock pypro\t", until="pyproject.toml ")


class Typed:
    """A shell in a terminal, in which a line is typed."""

    def __init__(self, shell: str, sandbox: Sandbox, folder: Path) -> None:
        self._terminal, own = os.openpty()
        self._shell = subprocess.Popen(
            [shell, *SHELLS[shell]],
            stdin=own,
            stdout=own,
            stderr=own,
            cwd=folder,
            env=environment(sandbox),
            start_new_session=True,
        )
        os.close(own)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._shell.kill()
        self._shell.wait()
        os.close(self._terminal)

    def type(self, text: str, *, until: str) -> None:
        """Type a text, and wait until the terminal shows something after it."""
        os.write(self._terminal, text.encode())
        shown, deadline = b"", time.monotonic() + 120
        while until not in clean(shown.decode(errors="replace")):
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._terminal], [], [], left)
            assert ready, f"{text!r} shows {shown!r}, not {until!r}"
            shown += os.read(self._terminal, 4096)
