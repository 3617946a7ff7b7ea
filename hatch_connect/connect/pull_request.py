"""The pull request that a CI job is about: whether it is from a fork, and our one comment of it.

A token goes to the API that GitHub or GitLab names for the job and to no other host, and no text
of an answer is ever shown.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
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

_PAGE, _PAGES = 10, 100  # small pages: a comment of GitHub may have 65,536 characters
_DONE, _REDIRECTS = range(200, 300), range(300, 400)
_WRITERS = {"OWNER", "MEMBER", "COLLABORATOR"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """What differs between GitHub and GitLab; `token` and `api` are variables."""

    name: str
    token: str
    api: str
    change: str
    query: str = ""
    job: str
    give: str
    needs: str


_GITHUB = _Site(
    name="GitHub",
    token="GITHUB_TOKEN",  # noqa: S106 - the variable's name
    api="GITHUB_API_URL",
    change="PATCH",
    job="Comments require a GitHub Actions job that was started by `pull_request`.",
    give="Pass it to the step: `env: GITHUB_TOKEN: ${{ github.token }}`.",
    needs="The job needs `permissions: pull-requests: write`.",
)
_GITLAB = _Site(
    name="GitLab",
    token="GITLAB_TOKEN",  # noqa: S106 - the variable's name
    api="CI_API_V4_URL",
    change="PUT",
    query="sort=asc&",
    job="Comments require a job of a merge request pipeline.",
    give="Create a project access token with the scope `api`, and set it as a masked CI/CD"
    " variable: CI_JOB_TOKEN cannot comment.",
    needs="GITLAB_TOKEN must be an access token of the project, with the scope `api` and the role "
    "Reporter or above.",
)
TOKENS = (_GITHUB.token, _GITLAB.token)


def refuse_fork(environ: Mapping[str, str]) -> None:
    """Refuse the pull request of a fork, which anybody can open. Raises UsageError."""
    source = environ.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID")
    if source:
        is_fork = source != environ.get("CI_PROJECT_ID")
        where = f"project {source}"
    else:
        event = _event(environ)
        head = value_at(event, "pull_request", "head", "repo")
        base = text_at(event, "pull_request", "base", "repo", "full_name")
        if "workflow_run" in event:  # which a pull request may have started
            head = value_at(event, "workflow_run", "head_repository")
            base = text_at(event, "repository", "full_name")
        theirs = text_at(head, "full_name")
        is_fork = bool(event) and (theirs is None or theirs != base)
        where = "a repository that no longer exists" if theirs is None else "another repository"
    if is_fork:
        raise UsageError(
            f"This pull request comes from a fork ({where}) and gets no preview: its code would"
            " run with the variables and the data of the content.",
            hint="Ask someone who can deploy to review it and push it as a branch of this"
            " repository, which gets a preview.",
        )


def _event(environ: Mapping[str, str]) -> dict[str, object]:
    """Return GitHub's event if it is about a pull request, else an empty one. Raises UsageError."""
    name, path = (environ.get(f"GITHUB_EVENT_{each}", "") for each in ("NAME", "PATH"))
    if not (path or name) or (name and not name.startswith(("pull_request", "workflow_run"))):
        return {}
    try:
        event = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise UsageError(
            "It is not known whether this pull request comes from a fork: GITHUB_EVENT_PATH"
            " names no file with GitHub's event.",
            hint="GitHub sets this variable for each job: pass it to the step or the container"
            " as well.",
        )
    return event if name or not {"pull_request", "workflow_run"}.isdisjoint(event) else {}


class PullRequest:
    """The pull request that a job of GitHub Actions or GitLab is about. Raises UsageError.

    Its methods raise UnreachableError, AnswerError or RefusedError.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._site = site = _GITLAB if environ.get("GITLAB_CI") else _GITHUB
        pull = (_on_gitlab if environ.get("GITLAB_CI") else _on_github)(environ)
        token = environ.get(site.token, "").strip()
        if why_absent(token) or not (token.isascii() and token.isprintable()) or " " in token:
            raise UsageError(
                f"{site.token} is not set: commenting requires a token.", hint=site.give
            )
        self._api = _api(site, environ)
        self._comments = f"{self._api}{pull}"
        self._token = Secret(token)
        self._http = Http(environ)
        check_proxy(self._http, self._api, f"The URL in {site.api}")

    def comment(self, marker: str, text: str) -> None:
        """Make the comment that begins with a hidden marker, or change the one that does."""
        body = json.dumps({"body": f"{marker}\n{text}"})
        me = None
        if self._site is _GITLAB:
            me = value_at(self._ask("GET", f"{self._api}/user"), "id")
            if me is None:  # without it each call would make another
                raise AnswerError("GitLab's response does not say whose token it is.")
        for known in self._known():
            number = value_at(known, "id")
            its = (text_at(known, "body") or "").startswith(marker) and _is_ours(known, me)
            if its and isinstance(number, int):
                one = self._comments
                if self._site is _GITHUB:  # whose comments have their place beside the numbers
                    one = f"{one.rsplit('/', 2)[0]}/comments"
                self._ask(self._site.change, f"{one}/{number}", data=body)
                return
        # If the answer is lost, the next call finds what was made.
        self._ask("POST", self._comments, once=True, data=body)

    def _known(self) -> Iterator[object]:
        for page in range(1, _PAGES + 1):
            query = f"{self._site.query}per_page={_PAGE}&page={page}"
            found = self._ask("GET", f"{self._comments}?{query}")
            if not isinstance(found, list):
                raise AnswerError(f"{self._site.name}'s response is not a list of comments.")
            yield from found
            if len(found) < _PAGE:
                return

    def _ask(self, method: str, url: str, **given: Any) -> object:  # noqa: ANN401 - as requests
        what, name = "the request to comment on the pull request", self._site.name
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        auth = HeaderAuth(f"Bearer {self._token.reveal()}")
        response, body = self._http.ask_shortly(
            what, method, url, headers=headers, auth=auth, **given
        )
        if response.status_code not in _DONE:
            redirected = "; the redirect was not followed" * (response.status_code in _REDIRECTS)
            raise RefusedError(
                f"{name} refused {what} (HTTP {response.status_code}{redirected}).",
                status=response.status_code,
                hint=self._site.needs,
            )
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise AnswerError(f"{name}'s response to {what} is not JSON.") from None


def _on_github(environ: Mapping[str, str]) -> str:
    """Return where the API has the comments of the job's pull request. Raises UsageError."""
    number = re.fullmatch(r"refs/pull/(\d+)/(?:merge|head)", environ.get("GITHUB_REF", ""))
    if number is None:
        raise UsageError("GITHUB_REF does not name a pull request to comment on.", hint=_GITHUB.job)
    repository = environ.get("GITHUB_REPOSITORY", "")
    if not re.fullmatch(r"(?!\.)[\w.-]+/(?!\.)[\w.-]+", repository, re.ASCII):
        raise UsageError("GITHUB_REPOSITORY does not name a repository.", hint=_GITHUB.job)
    return f"/repos/{repository}/issues/{number[1]}/comments"


def _on_gitlab(environ: Mapping[str, str]) -> str:
    """Return where the API has the notes of the job's merge request. Raises UsageError."""
    # The project that it goes to: a pipeline may run in the one that it comes from.
    project, number = "CI_MERGE_REQUEST_PROJECT_ID", "CI_MERGE_REQUEST_IID"
    for name in (project, number):
        if not re.fullmatch(r"\d+", environ.get(name, ""), re.ASCII):
            raise UsageError(
                f"{name} does not name a merge request to comment on.", hint=_GITLAB.job
            )
    return f"/projects/{environ[project]}/merge_requests/{environ[number]}/notes"


def _is_ours(comment: object, me: object) -> bool:
    """Return whether a stranger, who could change it again, cannot have made it.

    On GitLab the token's user is known as `me`.
    """
    if me is not None:
        return value_at(comment, "author", "id") == me
    bot = text_at(comment, "user", "type") == "Bot"
    return bot or text_at(comment, "author_association") in _WRITERS


def _api(site: _Site, environ: Mapping[str, str]) -> str:
    """Return the API's URL, which a token may be sent to. Raises UsageError."""
    url = environ.get(site.api, "").strip().rstrip("/")
    try:
        parts = urlsplit(url)
        _ = parts.port
        secure = parts.scheme == "https" or (parts.scheme == "http" and is_local(url))
        odd = not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment
    except ValueError:
        secure, odd = False, True
    if odd or not secure or not (url.isascii() and url.isprintable()):
        raise UsageError(
            f"{site.api} is not an https URL: the token was not sent to it.",
            hint=f"{site.name} sets this variable for each job; do not set it yourself.",
        )
    return url
