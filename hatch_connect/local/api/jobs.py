"""`v1/content/{guid}/jobs`: the processes that worked for content, their logs and their end."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING
from uuid import uuid4

from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from hatch_connect.local.api.rendering import VARIANT
from hatch_connect.local.api.requests import ApiError, content_of, job_of, read_number
from hatch_connect.local.deploy import RENDERED
from hatch_connect.local.diagnosis import diagnosis
from hatch_connect.local.machine import machine_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from hatch_connect.local.machine import Machine
    from hatch_connect.local.state import StoredContent, StoredJob

_LOG_LINES = 5000
_DIAGNOSED_LINES = 50
_INACTIVE = 163


async def jobs(request: Request) -> Response:
    """`GET v1/content/{guid}/jobs`, newest first."""
    content = content_of(request, editing=True)
    found = machine_of(request).state.jobs(content)
    return JSONResponse([_job_json(job, content) for job in found])


async def job(request: Request) -> Response:
    """`GET v1/content/{guid}/jobs/{key}`."""
    content = content_of(request, editing=True)
    return JSONResponse(_job_json(job_of(request, content), content))


async def kill(request: Request) -> Response:
    """`DELETE v1/content/{guid}/jobs/{key}`: end its process."""
    content = content_of(request, editing=True)
    found = job_of(request, content)
    if not await machine_of(request).jobs.kill(found):
        raise ApiError(409, _INACTIVE, "The job does not run.")
    return JSONResponse(
        {
            "guid": str(uuid4()),  # of the order, which is carried out already
            "app_id": content.id,
            "app_guid": content.guid,
            "content_id": str(content.id),
            "content_guid": content.guid,
            "job_id": found.id,
            "job_key": found.key,
            "result": "The job was ended.",
        }
    )


async def log(request: Request) -> Response:
    """`GET .../jobs/{key}/log`: the last 5,000 lines, or `maxLogLines`."""
    found = job_of(request, content_of(request, editing=True))
    most = read_number(request, "maxLogLines") or _LOG_LINES
    entries = await asyncio.to_thread(machine_of(request).logs.read, found.key, last=most)
    return JSONResponse({"entries": [asdict(entry) for entry in entries]})


async def tail(request: Request) -> Response:
    """`GET .../jobs/{key}/tail`: each line as a JSON object, also those that come, to the end."""
    found = job_of(request, content_of(request, editing=True))
    lines = _lines(machine_of(request), found)
    return StreamingResponse(lines, media_type="application/x-ndjson")


async def _lines(machine: Machine, found: StoredJob) -> AsyncIterator[str]:
    async for entry in machine.logs.follow(found.key):
        yield json.dumps(asdict(entry)) + "\n"


async def download(request: Request) -> Response:
    """`GET .../jobs/{key}/download`: the log as a text file, of the name `filename`."""
    found = job_of(request, content_of(request, editing=True))
    entries = machine_of(request).logs.each(found.key)
    name = request.query_params.get("filename") or f"{found.key}.log"
    # Of a name that is not plain, HTTP could make something else.
    plain = re.sub(r"[^A-Za-z0-9_. -]", "_", name)
    return StreamingResponse(
        (f"{entry.data}\n" for entry in entries),
        media_type="text/plain",
        headers={"Content-Disposition": f'attachment; filename="{plain}"'},
    )


async def error(request: Request) -> Response:
    """`GET .../jobs/{key}/error`: why it failed, if that can be said for sure."""
    found = job_of(request, content_of(request, editing=True))
    read = machine_of(request).logs.read
    entries = await asyncio.to_thread(read, found.key, last=_DIAGNOSED_LINES)
    said = diagnosis(found, [entry.data for entry in entries])
    return JSONResponse(asdict(said)) if said else Response(status_code=204)


def _job_json(job: StoredJob, content: StoredContent) -> dict[str, object]:
    rendered = content.app_mode in RENDERED
    return {
        "id": str(job.id),
        "key": job.key,
        "ppid": None,
        "pid": str(job.pid or 0),
        "remote_id": None,
        "app_id": str(content.id),
        "content_id": str(content.id),
        "content_guid": content.guid,
        "variant_id": str(content.id) if rendered else "0",
        "variant_key": VARIANT if rendered else "",
        "bundle_id": str(job.bundle),
        "start_time": job.started,
        "end_time": job.ended,
        "last_heartbeat_time": job.ended or job.started,
        "queued_time": None,
        "queue_name": None,
        "tag": job.tag,
        "exit_code": job.exit_code,
        "error": job.error or None,
        "status": 0 if job.ended is None else 2,
        "hostname": "localhost",
        "cluster": "Local",
        "image": None,
        "run_as": None,
        "skip_reason": None,
    }


_JOBS = "/v1/content/{guid}/jobs"
ROUTES = (
    Route(_JOBS, jobs, methods=["GET"]),
    Route(_JOBS + "/{key}", job, methods=["GET"]),
    Route(_JOBS + "/{key}", kill, methods=["DELETE"]),
    Route(_JOBS + "/{key}/log", log, methods=["GET"]),
    Route(_JOBS + "/{key}/tail", tail, methods=["GET"]),
    Route(_JOBS + "/{key}/download", download, methods=["GET"]),
    Route(_JOBS + "/{key}/error", error, methods=["GET"]),
)
