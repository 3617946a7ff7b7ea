"""The comments of one pull request of GitHub or GitLab on 127.0.0.1, as strict as the reference."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

_ISSUES = "/api/v3/repos/org/repo/issues"
_NOTES = "/api/v4/projects/31/merge_requests/7/notes"
_BOT = 99  # whose token it is on GitLab


@dataclass
class FakePullRequest:
    """Pull request 7 of org/repo, or of project 31 on GitLab.

    `status` is answered instead if it is not 0.
    """

    token: str = "Plant3d-token-of-the-job"
    status: int = 0
    comments: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        github = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                known = self.headers.get("Authorization") == f"Bearer {github.token}"
                github.calls.append(f"{self.command} {self.path}")
                status, answer = (
                    github.answer(self.command, self.path, sent) if known else (401, {})
                )
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.do_GET()

            def do_PATCH(self) -> None:
                self.do_GET()

            def do_PUT(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def environ(self) -> dict[str, str]:
        """Return what GitHub sets for a job of the pull request, and the step the token."""
        return {
            "GITHUB_API_URL": f"http://127.0.0.1:{self._server.server_address[1]}/api/v3",
            "GITHUB_REPOSITORY": "org/repo",
            "GITHUB_REF": "refs/pull/7/merge",
            "GITHUB_TOKEN": self.token,
        }

    def environ_of_gitlab(self) -> dict[str, str]:
        """Return what GitLab sets for a job of the merge request, and the project the token."""
        return {
            "GITLAB_CI": "true",
            "CI_API_V4_URL": f"http://127.0.0.1:{self._server.server_address[1]}/api/v4",
            "CI_MERGE_REQUEST_PROJECT_ID": "31",
            "CI_MERGE_REQUEST_IID": "7",
            "GITLAB_TOKEN": self.token,
        }

    def add(
        self, body: str, kind: str = "Bot", association: str = "NONE", author: int = _BOT
    ) -> dict[str, Any]:
        """Add a comment of somebody."""
        new = {"id": len(self.comments) + 1, "body": body, "user": {"type": kind}}
        new["author"] = {"id": author}
        self.comments.append(new | {"author_association": association})
        return self.comments[-1]

    def answer(self, method: str, target: str, sent: bytes) -> tuple[int, object]:
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query))
        if self.status:
            return self.status, {"message": "Plant3d"}
        if (method, parts.path) == ("GET", "/api/v4/user"):
            return 200, {"id": _BOT, "bot": True}
        listed = (f"{_ISSUES}/7/comments", _NOTES)
        if method == "GET" and parts.path in listed:
            size, page = int(query["per_page"]), int(query["page"])
            return 200, self.comments[(page - 1) * size : page * size]
        if method == "POST" and parts.path in listed:
            return 201, self.add(json.loads(sent)["body"])
        for comment in self.comments:
            number = comment["id"]
            its = [("PATCH", f"{_ISSUES}/comments/{number}"), ("PUT", f"{_NOTES}/{number}")]
            if (method, parts.path) in its:
                allowed = method == "PATCH" or comment["author"]["id"] == _BOT
                if allowed:
                    comment["body"] = json.loads(sent)["body"]
                return (200, comment) if allowed else (403, {})
        return 404, {}
