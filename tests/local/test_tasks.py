from __future__ import annotations

import asyncio

import pytest
from support.waiting import PATIENCE

from hatch_connect.errors import BundleError
from hatch_connect.local.processes import lines
from hatch_connect.local.tasks import Task, Tasks


def test_who_waits_is_woken_by_a_line() -> None:
    async def work(task: Task) -> None:
        await asyncio.sleep(0.05)
        task.write("one")
        await asyncio.sleep(60)

    async def follow() -> list[str]:
        tasks = Tasks()
        task = tasks.start(work)
        assert tasks.get(task.id) is task
        await task.wait(0, 30)
        await tasks.stop()
        assert (task.finished, task.code, task.error) == (True, 1, "The server is stopping.")
        return task.output

    assert asyncio.run(follow()) == ["one"]


def test_waiting_ends_in_time() -> None:
    asyncio.run(asyncio.wait_for(Task().wait(0, 0.05), PATIENCE))


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (None, ""),
        (BundleError("It is wrong."), "It is wrong."),
        (ValueError("a bug"), "Internal error of the server; see its log."),
    ],
)
def test_how_a_task_ends(raised: Exception | None, error: str) -> None:
    async def work(_task: Task) -> None:
        if raised:
            raise raised

    async def follow() -> Task:
        task = Tasks().start(work)
        await task.wait(0, 30)
        return task

    task = asyncio.run(follow())

    assert (task.finished, task.code, task.error) == (True, 1 if error else 0, error)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([], []),
        ([b"one\ntwo\r\nthr", b"ee"], ["one", "two", "three"]),
        ([b"\xc3", b"\xa4\n\n"], ["ä", ""]),
        ([b"\xff\n\xc3"], ["\N{REPLACEMENT CHARACTER}", "\N{REPLACEMENT CHARACTER}"]),
    ],
)
def test_lines_as_they_come(chunks: list[bytes], expected: list[str]) -> None:
    assert asyncio.run(_lines(*chunks)) == expected


def test_a_line_without_end_comes_in_pieces() -> None:
    size = 3 << 20

    pieces = asyncio.run(_lines(b"x" * size))

    assert "".join(pieces) == "x" * size
    assert len(pieces) > 1


async def _lines(*chunks: bytes) -> list[str]:
    stream = asyncio.StreamReader()
    for chunk in chunks:
        stream.feed_data(chunk)
    stream.feed_eof()
    return [line async for line in lines(stream)]
