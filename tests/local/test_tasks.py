from __future__ import annotations

import asyncio
from threading import Event
from typing import TYPE_CHECKING

import pytest
from support.waiting import PATIENCE

from hatch_connect.errors import BundleError
from hatch_connect.local.logs import Logs
from hatch_connect.local.processes import lines
from hatch_connect.local.tasks import Task, Tasks, in_thread

if TYPE_CHECKING:
    from pathlib import Path


def test_who_waits_is_woken_by_a_line(tmp_path: Path) -> None:
    async def work(task: Task) -> None:
        await asyncio.sleep(0.05)
        task.write("one")
        await asyncio.sleep(3600)

    async def follow() -> None:
        logs = Logs(tmp_path)
        tasks = Tasks(logs)
        task = tasks.start(work)
        assert tasks.get(task.id) is task
        await task.wait(0, PATIENCE)
        assert [entry.data for entry in logs.read(task.id)] == ["one"]
        await tasks.stop()
        assert (task.finished, task.code, task.error) == (True, 1, "The server is stopping.")

    asyncio.run(follow())


def test_waiting_ends_in_time(tmp_path: Path) -> None:
    async def follow() -> None:
        task = Task("t", Logs(tmp_path).open("t"))
        await asyncio.wait_for(task.wait(0, 0.05), PATIENCE)
        assert not task.finished
        task.log.close()

    asyncio.run(follow())


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (None, ""),
        (BundleError("It is wrong."), "It is wrong."),
        (ValueError("a bug"), "Internal error of the server; see its log."),
    ],
)
def test_how_a_task_ends(tmp_path: Path, raised: Exception | None, error: str) -> None:
    async def work(_task: Task) -> None:
        if raised:
            raise raised

    async def follow() -> Task:
        told: list[Task] = []
        task = Tasks(Logs(tmp_path)).start(work, told.append)
        await task.wait(0, PATIENCE)
        assert told == [task]
        return task

    task = asyncio.run(follow())

    assert (task.finished, task.code, task.error) == (True, 1 if error else 0, error)


def test_only_the_last_tasks_are_remembered(tmp_path: Path) -> None:
    async def work(_task: Task) -> None:
        return

    async def follow() -> list[bool]:
        tasks = Tasks(Logs(tmp_path))
        started = []
        for _number in range(150):
            started.append(tasks.start(work))
            await started[-1].wait(0, PATIENCE)
        return [tasks.get(task.id) is not None for task in started]

    known = asyncio.run(follow())

    assert known.count(True) < 150
    assert known == sorted(known)  # the first ones are forgotten


def test_a_log_is_followed_until_it_ends(tmp_path: Path) -> None:
    async def follow() -> None:
        logs = Logs(tmp_path)
        log = logs.open("k")
        for number in range(3):
            log.write("stdout", f"{number}")
        seen: list[str] = []
        behind = asyncio.Event()

        async def read(first: int) -> None:
            async for entry in logs.follow("k", first):
                seen.append(entry.data)
                if entry.data == "2":
                    log.write("stderr", "while it is read")
                if entry.data == "while it is read":
                    behind.set()
                if entry.data == "late":
                    log.close()

        reading = asyncio.create_task(read(1))
        ahead = asyncio.create_task(read(5))
        await behind.wait()
        log.write("stdout", "late")
        await asyncio.wait_for(asyncio.gather(reading, ahead), PATIENCE)
        assert seen == ["1", "2", "while it is read", "late"]
        assert [entry.data async for entry in logs.follow("k", 3)] == seen[2:]
        assert [len(part) async for part in logs.follow_parts("k", 2)] == [3]
        assert [entry async for entry in logs.follow("none")] == []

    asyncio.run(follow())


def test_half_a_line_of_a_killed_server_is_left_out(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    log = logs.open("k")
    log.write("stdout", "whole")
    log.close()
    with logs.path("k").open("a") as file:
        file.write('{"source": "stdo')

    assert [entry.data for entry in logs.read("k")] == ["whole"]
    assert [entry.data for entry in logs.each("k")] == ["whole"]
    assert logs.read("k", 10**30, last=10**30) == ()
    assert (logs.count("k"), logs.count("none")) == (2, 0)


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


def test_work_in_a_thread_ends_with_the_task_that_waits(tmp_path: Path) -> None:
    begun, ended = Event(), Event()

    def work(stop: Event) -> None:
        begun.set()
        stop.wait()
        ended.set()
        raise BundleError("stopped")

    async def follow() -> None:
        tasks = Tasks(Logs(tmp_path))

        async def waiting(_task: Task) -> None:
            await in_thread(work)

        task = tasks.start(waiting)
        await asyncio.to_thread(begun.wait, PATIENCE)
        await tasks.cancel(lambda one: one is not task, "Another ended.")
        assert not task.finished
        await tasks.cancel(lambda one: one is task, "It was enough.")
        assert (ended.is_set(), task.finished, task.error) == (True, True, "It was enough.")

    asyncio.run(follow())


def test_work_in_a_thread_returns_and_raises() -> None:
    def refuse(_stop: Event) -> None:
        raise BundleError("no")

    assert asyncio.run(in_thread(lambda stop: not stop.is_set()))
    with pytest.raises(BundleError, match="no"):
        asyncio.run(in_thread(refuse))
