"""A fresh user: an empty home, a project, and commands run as that user would run them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
EXAMPLES = REPOSITORY / "examples"

_KEPT = ("PATH", "LANG", "SYSTEMROOT", "TEMP", "TMP", "COVERAGE_PROCESS_CONFIG")
_KEPT_PREFIXES = ("PIP_", "UV_", "SSL_", "COVERAGE_", "COV_CORE_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        return self.stdout + self.stderr


@dataclass(slots=True, kw_only=True)
class Sandbox:
    """A user with an empty home; `environ` is all that commands see."""

    home: Path
    environ: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path) -> Sandbox:
        home = folder / "home"
        home.mkdir(parents=True)
        (home / "config.toml").write_text("", encoding="utf-8")
        environ = {
            name: value
            for name, value in os.environ.items()
            if name in _KEPT or name.startswith(_KEPT_PREFIXES)
        }
        environ |= {
            "HOME": str(home),
            "USERPROFILE": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "HATCH_CONFIG": str(home / "config.toml"),
            "HATCH_DATA_DIR": str(home / "hatch"),
            "HATCH_CACHE_DIR": str(home / "hatch-cache"),
            "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
            "GIT_AUTHOR_NAME": "A. User",
            "GIT_AUTHOR_EMAIL": "user@example.com",
            "GIT_COMMITTER_NAME": "A. User",
            "GIT_COMMITTER_EMAIL": "user@example.com",
            # What an installation writes for people must not depend on who runs the tests.
            "NO_COLOR": "1",
            "COLUMNS": "120",
        }
        return cls(home=home, environ=environ)

    def run(self, *command: str | Path, cwd: Path, **environ: str) -> Finished:
        """Run a command in a folder; `environ` is set besides what this user has."""
        done = subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env=self.environ | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=600,
            check=False,
        )
        return Finished(code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def python(self, *arguments: str | Path, cwd: Path, **environ: str) -> Finished:
        """Run the interpreter that runs the tests: hatch, invoke and hatch-connect are there."""
        return self.run(sys.executable, *arguments, cwd=cwd, **environ)

    def connect(self, *arguments: str | Path, cwd: Path, **environ: str) -> Finished:
        """Run `python -m hatch_connect`."""
        return self.python("-P", "-m", "hatch_connect", *arguments, cwd=cwd, **environ)

    def hatch(self, *arguments: str | Path, cwd: Path, **environ: str) -> Finished:
        """Run `hatch`."""
        return self.python("-m", "hatch", *arguments, cwd=cwd, **environ)

    def invoke(self, *arguments: str | Path, cwd: Path, **environ: str) -> Finished:
        """Run `invoke`."""
        return self.python("-m", "invoke", *arguments, cwd=cwd, **environ)

    def environment(self, folder: Path, *packages: str | Path) -> Path:
        """Make a virtual environment that has these packages, and return its programs' folder."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = self.python("-m", "uv", "venv", "-p", sys.executable, folder, cwd=folder.parent)
        assert made.code == 0, made.said
        programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
        if packages:
            to = ("--python", programs / "python")
            added = self.python("-m", "uv", "pip", "install", *to, *packages, cwd=folder.parent)
            assert added.code == 0, added.said
        return programs

    def git(self, *arguments: str, cwd: Path) -> str:
        """Run git and return what it printed; it must succeed."""
        done = self.run("git", *arguments, cwd=cwd)
        assert done.code == 0, done.said
        return done.stdout


def copy_example(name: str, folder: Path) -> Path:
    """Copy one of the examples, without what earlier runs left in it."""
    target = folder / name
    left = shutil.ignore_patterns("dist", "rsconnect-python", "__pycache__", ".venv")
    shutil.copytree(EXAMPLES / name, target, ignore=left)
    return target


def committed(project: Path, sandbox: Sandbox) -> Path:
    """Make the project a git repository with everything committed."""
    (project / ".gitignore").write_text("__pycache__/\n/dist/\n", encoding="utf-8")
    sandbox.git("init", "--quiet", cwd=project)
    sandbox.git("add", "--all", cwd=project)
    sandbox.git("commit", "--quiet", "--message", "start", cwd=project)
    return project
