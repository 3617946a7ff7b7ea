"""Asking an embedded server, in the words of its API."""

# ruff: noqa: ANN401 - JSON, and what httpx2 takes

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
from websockets.sync.client import ClientConnection, connect

from hatch_connect.local.folder import LocalServer, read_key
from support.connect_content import bundle
from support.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_numbers = itertools.count(1)


@dataclass
class Api:
    """Asks a server; the paths are those below `__api__`."""

    server: LocalServer
    client: httpx2.Client

    def ask(self, method: str, path: str, status: int = 200, **how: Any) -> Any:
        """Return the JSON of an answer that must have this status."""
        answer = self.client.request(method, f"{self.server.url}/__api__/{path}", **how)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def refused(self, method: str, path: str, **how: Any) -> tuple[int, int]:
        """Return the status and Connect's code of an answer that must be a refusal."""
        answer = self.client.request(method, f"{self.server.url}/__api__/{path}", **how)
        body = answer.json()
        assert body.keys() == {"code", "error", "payload"}
        return answer.status_code, body["code"]

    def create(self, **fields: Any) -> str:
        """Create content and return its GUID."""
        content = self.ask("POST", "v1/content", json={"name": f"one-{next(_numbers)}", **fields})
        guid: str = content["guid"]
        return guid

    def upload(self, guid: str, archive: bytes | None = None) -> str:
        """Upload an archive and return the number of the bundle."""
        content = bundle() if archive is None else archive
        number: str = self.ask("POST", f"v1/content/{guid}/bundles", content=content)["id"]
        return number

    def deploy(self, guid: str, bundle_id: str, **fields: Any) -> dict[str, Any]:
        """Deploy and return the finished task, with its whole output."""
        given = {"bundle_id": bundle_id, **fields}
        return self.finished(
            self.ask("POST", f"v1/content/{guid}/deploy", 202, json=given)["task_id"]
        )

    def finished(self, task_id: str) -> dict[str, Any]:
        """Wait for the end of a task, and return it with its whole output."""
        output: list[str] = []
        while True:
            query = {"first": len(output), "wait": 5}
            task: dict[str, Any] = self.ask("GET", f"v1/tasks/{task_id}", params=query)
            output += task["output"]
            if task["finished"]:
                return {**task, "output": output}

    def jobs(self, guid: str) -> list[dict[str, Any]]:
        """Return the jobs of content, newest first, without those that install packages."""
        found = self.ask("GET", f"v1/content/{guid}/jobs")
        return [job for job in found if job["tag"] != "python_restore"]

    def ship(self, archive: bytes | None = None, **fields: Any) -> str:
        """Create content and deploy a bundle, which must succeed.

        Its process stays, however busy this machine is, unless `fields` say otherwise.
        """
        guid = self.create(**{"idle_timeout": 0, **fields})
        task = self.deploy(guid, self.upload(guid, archive))
        assert task["code"] == 0, task
        return guid

    def visit(self, guid: str, path: str = "", **how: Any) -> httpx2.Response:
        """Ask for the content itself, with the key of this client unless `headers` has another."""
        url = f"{self.server.url}/content/{guid}/{path}"
        key = {"Authorization": self.client.headers["Authorization"]}
        how["headers"] = key | dict(how.get("headers", {}))
        return httpx2.request(
            how.pop("method", "GET"), url, trust_env=False, timeout=PATIENCE, **how
        )

    def connect(self, guid: str, path: str, **how: Any) -> ClientConnection:
        """Open a WebSocket to the content itself, as a page of this server would."""
        address = self.server.url.removeprefix("http://")
        url = f"ws://{address}/content/{guid}/{path}"
        how.setdefault("origin", self.server.url)
        key = {"Authorization": self.client.headers["Authorization"]}
        how["additional_headers"] = key | dict(how.get("additional_headers", {}))
        socket: ClientConnection = connect(
            url, proxy=None, max_size=None, open_timeout=PATIENCE, **how
        )
        return socket

    @contextmanager
    def browse(self, guid: str = "") -> Iterator[httpx2.Client]:
        """Yield a browser, as far as cookies go, that is signed in and has visited the content."""
        path = f"/content/{guid}/" if guid else "/connect/"
        url = self.ask("POST", "__local__/login", json={"next": path})["url"]
        with httpx2.Client(trust_env=False, timeout=PATIENCE, follow_redirects=True) as client:
            client.get(url)
            yield client


@contextmanager
def asking(server: LocalServer, user: str = "local") -> Iterator[Api]:
    """Ask with the key of the server, or with that of somebody in its users.toml."""
    key = server.api_key.reveal()
    if user != "local":
        people = tomllib.loads((server.state / "users.toml").read_text("utf-8"))["users"]
        key = people[user]["key"]
    headers = {"Authorization": f"Key {key}"}
    with httpx2.Client(headers=headers, trust_env=False, timeout=PATIENCE) as client:
        yield Api(server, client)


@contextmanager
def serving(home: Path, *arguments: str) -> Iterator[tuple[LocalServer, list[str]]]:
    """Run `hatch-connect local`, with its state below `home`; yield what it said at its start."""
    state = home / "hatch-connect" / "local"
    with subprocess.Popen(
        (sys.executable, "-P", "-m", "hatch_connect", "local", *arguments),
        env={**os.environ, "XDG_STATE_HOME": str(home), "NO_COLOR": "1"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said: list[str] = []
        try:
            while not said or not said[-1].startswith("Deploy to it"):
                said.append(process.stderr.readline().strip())
                assert said[-1], said
            url = next(word for word in said[0].split() if word.startswith("http")).rstrip(".")
            yield LocalServer(url=url, api_key=read_key(state), state=state), said
        finally:
            process.terminate()
