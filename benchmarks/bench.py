"""Times hatch-connect and rsconnect-python at the same work, in turn, each run a whole process."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report import OURS, RSS_UNIT, THEIRS, Counts, Row, Run, plots, report
from benchmarks.setting import MIB, Project, Server, make_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

HERE = Path(__file__).parent
ROOT = HERE.parent
_PROGRAMS = (sys.executable, str(HERE / "programs.py"))
_KEPT = ("PATH", "LANG", "TMPDIR")
_END = 2000  # characters shown of what a failed command said
# A process counts the memory of the one that started it, which therefore has to be a small one.
_STARTER = """
import os, sys, time
command = sys.argv[1:]
start = time.perf_counter()
to_log = [(os.POSIX_SPAWN_DUP2, 2, 1)]
pid = os.posix_spawnp(command[0], command, os.environ, file_actions=to_log)
_, status, usage = os.wait4(pid, 0)
print(time.perf_counter() - start, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
"""
_WRITE_MANIFEST = ("write-manifest", "fastapi", "--overwrite", ".", "--entrypoint")
_DEPLOY = ("deploy", "fastapi", ".", "--entrypoint")
_COMMANDS = {
    "--version": (("--version",), ("version",)),
    "manifest --in-place": (("manifest", "--in-place"), _WRITE_MANIFEST),
    "manifest": (("manifest",), _WRITE_MANIFEST),
    "bundle": (("bundle",), ("rsconnect",)),
    "deploy": (("deploy",), _DEPLOY),
    "redeploy": (("deploy",), _DEPLOY),
}
"""What each client is called with: ours, and theirs, which the entrypoint follows."""


class RunError(Exception):
    """A command that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A row to be: what is done, and on which project."""

    command: str
    kind: str = "tree"
    size: int

    def __str__(self) -> str:
        if self.command == "--version":
            return self.command
        if self.kind == "data":
            return f"{self.command}, {self.size:,} MiB of data"
        where = {"tree": "", "git": ", git checkout", "package": ", src/ package"}[self.kind]
        return f"{self.command}, {self.size:,} files{where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A command that does the work; `prepare` comes before it and is not timed."""

    name: str
    command: Sequence[str]
    project: Project
    environ: Mapping[str, str]
    prepare: Callable[[], None]
    server: Server

    def run(self, **environ: str) -> Run:
        """Run it once."""
        self.prepare()
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                (sys.executable, "-IS", "-c", _STARTER, *self.command),
                cwd=self.project.root,
                env={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                check=True,
            )
            seconds, peak, code = done.stdout.split()
            if int(code):
                said.seek(0)
                text = said.read().decode(errors="replace")[-_END:]
                raise RunError(f"{self.name} failed, exit code {int(code)}:\n{text}")
        return Run(seconds=float(seconds), peak=int(peak) / RSS_UNIT)

    def count(self, log: Path) -> Counts:
        """Run it once more, and return what it asked, started and opened."""
        log.write_text("", encoding="utf-8")
        self.run(PYTHONPATH=str(HERE / "trace"), BENCH_TRACE=str(log))
        return Counts(
            requests=len(self.server.requests),
            sent=self.server.received / MIB,
            noted=tuple(log.read_text("utf-8").splitlines()),
        )


@dataclass(slots=True, kw_only=True)
class Bench:
    """Runs cases, each below this folder and against servers of their own."""

    folder: Path
    servers: Mapping[str, Server]
    runs: int
    _projects: dict[tuple[str, str, int], Project] = field(default_factory=dict)

    def measure(self, case: Case) -> Row:
        """Run each contender once for nothing, and then in turn."""
        contenders = tuple(self._contenders(case))
        runs: dict[str, list[Run]] = {each.name: [] for each in contenders}
        for number in range(self.runs + 1):
            _say(f"{case}: {f'run {number} of {self.runs}' if number else 'warming up'}")
            for each in contenders[:: -1 if number % 2 else 1]:
                run = each.run()
                if number:
                    runs[each.name].append(run)
        counted = case.command in {"deploy", "redeploy"}
        clients = [each for each in contenders if counted and each.name in self.servers]
        counts = {each.name: each.count(self.folder / "trace") for each in clients}
        return Row(name=str(case), command=case.command, kind=case.kind, size=case.size,
                   runs=runs, counts=counts)  # fmt: skip

    def _contenders(self, case: Case) -> Iterator[Contender]:
        for client in self.servers:
            yield self._contender(case, client, client, self._command(case, client))
        for name, command in _floors(case, str(self.folder / "floor" / "out")):
            yield self._contender(case, OURS, name, command)

    def _contender(self, case: Case, client: str, name: str, command: Sequence[str]) -> Contender:
        project, server = self._project(case, client), self.servers[client]
        home = self.folder / "homes" / client
        known = {name: os.environ[name] for name in _KEPT if name in os.environ}
        connect = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
        return Contender(
            name=name,
            command=command,
            project=project,
            environ={**known, **connect, "HOME": str(home), "GIT_CONFIG_GLOBAL": os.devnull},
            prepare=partial(self._prepare, case, project, server, home),
            server=server,
        )

    def _prepare(self, case: Case, project: Project, server: Server, home: Path) -> None:
        server.forget()
        shutil.rmtree(self.folder / "floor", ignore_errors=True)
        (self.folder / "floor").mkdir()
        if case.command != "redeploy":
            project.clean()
            server.contents.clear()
            shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True, exist_ok=True)

    def _project(self, case: Case, client: str) -> Project:
        key = client, case.kind, case.size
        if key not in self._projects:
            _say(f"{case}: making the project")
            root = self.folder / f"{client}-{case.kind}-{case.size}"
            self._projects[key] = make_project(root, case.kind, case.size, lists=client == THEIRS)
        return self._projects[key]

    def _command(self, case: Case, client: str) -> Sequence[str]:
        ours, theirs = _COMMANDS[case.command]
        if client == OURS:
            return (_script("hatch-connect"), *ours)
        entrypoint = (
            () if case.command == "--version" else (self._project(case, client).entrypoint,)
        )
        start = _PROGRAMS if case.command == "bundle" else (_script("rsconnect"),)
        return (*start, *theirs, *entrypoint)


def _floors(case: Case, target: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield what the work cannot be done without, in the plainest way."""
    if case.command == "--version":
        yield "`python -c pass`", (sys.executable, "-c", "pass")
    elif case.command == "manifest --in-place":
        yield "walk, MD5, JSON", (*_PROGRAMS, "walk")
    elif case.command == "manifest":
        yield "`cp -R`", ("cp", "-R", ".", target)
    elif case.command == "redeploy":
        yield "MD5", (*_PROGRAMS, "md5")
    else:
        yield "`tar`, same compressor", (*_PROGRAMS, "pack", target)
    if case.command == "bundle" and case.kind == "data":
        yield "`tar`", ("tar", "-cf", target, ".")


def _script(name: str) -> str:
    return str(Path(sysconfig.get_path("scripts")) / name)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def cases(files: Sequence[int], mib: int) -> Iterator[Case]:
    """Yield all of them; `mib` is the most data."""
    yield Case(command="--version", size=files[0])
    for command in ("manifest --in-place", "bundle"):
        yield from (Case(command=command, size=size) for size in files)
    yield Case(command="manifest", size=files[-1])
    yield from (Case(command="bundle", kind=kind, size=files[-1]) for kind in ("git", "package"))
    sizes = sorted({max(1, mib // part) for part in (16, 4, 1)})
    yield from (Case(command="bundle", kind="data", size=size) for size in sizes)
    for kind, size in (("git", files[len(files) // 2]), ("data", mib)):
        yield from (
            Case(command=command, kind=kind, size=size) for command in ("deploy", "redeploy")
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hatch run bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small projects, and two runs")
    parser.add_argument("--only", metavar="NAME", default="", help="rows with this in their name")
    parser.add_argument("--runs", metavar="N", type=int, help="runs of each command (5)")
    parser.add_argument("--files", metavar="N", type=int, nargs="+", help="numbers of small files")
    parser.add_argument("--size", metavar="MIB", type=int, help="the most data, in MiB (1024)")
    parser.add_argument("--output", metavar="FOLDER", type=Path, default=ROOT / "build/benchmarks",
                        help="where the report and the plots go (build/benchmarks)")  # fmt: skip
    options = parser.parse_args()
    quick = options.quick
    options.runs = options.runs or (2 if quick else 5)
    options.files = sorted(options.files or ((20, 200) if quick else (100, 1_000, 10_000)))
    options.size = options.size or (16 if quick else 1024)
    return options


def _rows(bench: Bench, wanted: Sequence[Case]) -> Iterator[Row]:
    for case in wanted:
        try:
            yield bench.measure(case)
        except RunError as error:  # the other rows are worth having
            _say(f"{case}: {error}")


def main() -> int:
    """Run what was asked for, and print the report."""
    options = _options()
    clients = [OURS, THEIRS] if find_spec("rsconnect") else [OURS]
    wanted = [case for case in cases(options.files, options.size) if options.only in str(case)]
    if not wanted:
        sys.exit(f"No row has `{options.only}` in its name.")
    load = os.getloadavg()[0]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        servers = {client: stack.enter_context(Server()) for client in clients}
        bench = Bench(folder=folder, servers=servers, runs=options.runs)
        rows = list(_rows(bench, wanted))
    options.output.mkdir(parents=True, exist_ok=True)
    files = {"report.md": report(rows, load), **plots(rows)}
    for name, text in files.items():
        (options.output / name).write_text(text, encoding="utf-8")
    print(files["report.md"], end="")
    return 0 if len(rows) == len(wanted) else 1
