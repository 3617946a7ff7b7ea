"""Our one comment of a GitHub pull request, made with the token of the CI job.

The token goes to the API that GitHub names for the job and to no other host, and no text of an
answer is ever shown.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hatch_connect.connect.oauth import check_proxy
from hatch_connect.connect.servers import is_local
from hatch_connect.connect.transport import HeaderAuth, Http
from hatch_connect.errors import AnswerError, RefusedError, UsageError
from hatch_connect.secret import Secret, why_absent
from hatch_connect.typed import text_at, value_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOKEN = "GITHUB_TOKEN"  # noqa: S105 - the variable's name
_API, _REPOSITORY, _REF = "GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_REF"
_PAGE, _PAGES = 10, 100  # small pages: a comment may have 65,536 characters
_DONE, _REDIRECTS = range(200, 300), range(300, 400)
_WRITERS = {"OWNER", "MEMBER", "COLLABORATOR"}
_IN_A_JOB = "A comment is for a job of GitHub Actions that `pull_request` has started."


class PullRequest:
    """The pull request that a job of GitHub Actions is about. Raises UsageError.

    Its methods raise UnreachableError, AnswerError or RefusedError.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        number = re.fullmatch(r"refs/pull/(\d+)/(?:merge|head)", environ.get(_REF, ""))
        if number is None:
            raise UsageError(f"{_REF} names no pull request to comment on.", hint=_IN_A_JOB)
        repository = environ.get(_REPOSITORY, "")
        if not re.fullmatch(r"(?!\.)[\w.-]+/(?!\.)[\w.-]+", repository, re.ASCII):
            raise UsageError(f"{_REPOSITORY} names no repository.", hint=_IN_A_JOB)
        token = environ.get(TOKEN, "").strip()
        if why_absent(token) or not (token.isascii() and token.isprintable()) or " " in token:
            raise UsageError(
                f"{TOKEN} holds no token to comment with.",
                hint=f"Give it to the step: `env: {TOKEN}: ${{{{ github.token }}}}`.",
            )
        self._base = f"{_api(environ)}/repos/{repository}/issues"
        self._comments = f"{self._base}/{number[1]}/comments"
        self._token = Secret(token)
        self._http = Http(environ)
        check_proxy(self._http, self._base, f"The URL in {_API}")

    def comment(self, marker: str, text: str) -> None:
        """Make the comment that begins with a hidden marker, or change the one that does."""
        body = json.dumps({"body": f"{marker}\n{text}"})
        for known in self._known():
            number = value_at(known, "id")
            its = (text_at(known, "body") or "").startswith(marker) and _is_ours(known)
            if its and isinstance(number, int):
                self._ask("PATCH", f"{self._base}/comments/{number}", data=body)
                return
        # If the answer is lost, the next call finds what was made.
        self._ask("POST", self._comments, once=True, data=body)

    def _known(self) -> Iterator[object]:
        for page in range(1, _PAGES + 1):
            found = self._ask("GET", f"{self._comments}?per_page={_PAGE}&page={page}")
            if not isinstance(found, list):
                raise AnswerError("GitHub's answer is no list of comments.")
            yield from found
            if len(found) < _PAGE:
                return

    def _ask(self, method: str, url: str, **given: Any) -> object:  # noqa: ANN401 - as requests
        what = "the request to comment on the pull request"
        headers = {"Accept": "application/vnd.github+json", "Content-Type": "application/json"}
        auth = HeaderAuth(f"Bearer {self._token.reveal()}")
        response, body = self._http.ask_shortly(
            what, method, url, headers=headers, auth=auth, **given
        )
        if response.status_code not in _DONE:
            redirected = "; its redirect was not followed" * (response.status_code in _REDIRECTS)
            raise RefusedError(
                f"GitHub refused {what} (HTTP {response.status_code}{redirected}).",
                status=response.status_code,
                hint="The job needs `permissions: pull-requests: write`.",
            )
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise AnswerError(f"GitHub's answer to {what} is no JSON.") from None


def _is_ours(comment: object) -> bool:
    """Return whether a stranger, who could change it again, cannot have made it."""
    bot = text_at(value_at(comment, "user"), "type") == "Bot"
    return bot or text_at(comment, "author_association") in _WRITERS


def _api(environ: Mapping[str, str]) -> str:
    """Return the API's URL, which a token may be sent to. Raises UsageError."""
    url = environ.get(_API, "").strip().rstrip("/")
    try:
        parts = urlsplit(url)
        _ = parts.port
        secure = parts.scheme == "https" or (parts.scheme == "http" and is_local(url))
        odd = not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment
    except ValueError:
        secure, odd = False, True
    if odd or not secure or not (url.isascii() and url.isprintable()):
        raise UsageError(
            f"{_API} is no https URL: the job's token was not sent there.",
            hint="GitHub sets it for each job.",
        )
    return url
