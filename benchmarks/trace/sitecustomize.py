"""Counts what a process and its children open and start, if `BENCH_TRACE` names a file."""

import os
import sys

_WATCHED = {"pyproject.toml", "uv.lock"}
_WRITES = os.O_WRONLY | os.O_RDWR


def _name(path: object) -> str:
    if not isinstance(path, str | bytes | os.PathLike):
        return ""
    return os.path.basename(os.fsdecode(path))


def _watch(log: int) -> None:
    def note(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and isinstance(args[2], int) and not args[2] & _WRITES:
            if (name := _name(args[0])) in _WATCHED:
                os.write(log, f"{name}\n".encode())
        elif event == "subprocess.Popen":
            os.write(log, f"process {_name(args[0])}\n".encode())

    sys.addaudithook(note)


if "BENCH_TRACE" in os.environ:
    _watch(os.open(os.environ["BENCH_TRACE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND))
