"""`preview`: a draft of content that exists, for one branch, in the place of its earlier one."""

from __future__ import annotations

import shlex
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatch_connect.commands.call import nothing_changed
from hatch_connect.commands.content import deployed_content
from hatch_connect.commands.deploy import run_deploy
from hatch_connect.commands.result import Deployed, Removed, show_to_person
from hatch_connect.commands.source import sources_of
from hatch_connect.connect.json_reader import readable
from hatch_connect.connect.pull_request import TOKENS, PullRequest, refuse_fork
from hatch_connect.errors import ContentError, NotFoundError, ServerError, UsageError
from hatch_connect.events import Note, Step, Warned
from hatch_connect.secret import Secret
from hatch_connect.ship.history import PREVIEW

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hatch_connect.commands.call import Call
    from hatch_connect.commands.content import DeployedContent
    from hatch_connect.commands.result import Result
    from hatch_connect.commands.source import Source
    from hatch_connect.connect.resources import BundleInfo
    from hatch_connect.ship.history import History
    from hatch_connect.ship.state import Deployment

_LONGEST = 255  # characters of a branch's name, by the rules of GitHub and GitLab
# What GitHub and GitLab say of a job; GitHub's first one is set for pull requests only.
_BRANCHES = ("GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_REF_NAME")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A preview that stands at `url`; `removed` are the bundles that it has replaced."""

    url: str
    branch: str
    deployment: Deployment
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Previewed(Deployed):
    """The result of a preview that was deployed."""

    preview: Preview


def run_preview(call: Call) -> Result:
    """Deploy the draft, or remove it. Raises HatchConnectError."""
    options = call.options
    with ExitStack() as stack:
        with nothing_changed("preview"):
            refuse_fork(call.environ)
            pull_request = _pull_request(call)
            tokens = [Secret(call.environ.get(name, "")) for name in TOKENS]
            call = stack.enter_context(call.masking(tokens))
            found = stack.enter_context(deployed_content(call))
            branch = _branch(found)
        if options.remove_preview:
            return _remove(found, branch)
        if found.content.bundle_id is None:
            raise ContentError(
                f"Content {found.content.guid} has no active bundle, which a preview requires.",
                hint="Deploy it first: hatch-connect deploy",
            )

        def sources(its: Call) -> tuple[Source, ...]:
            each = sources_of(its)
            return tuple(replace(one, preview=branch, named_by=found.because) for one in each)

        draft = replace(options, draft=True, app_id=found.content.guid)
        # The person is waited for when all is done.
        around = replace(call.surroundings, wait_for_person=None)
        its = replace(call, options=draft, surroundings=around)
        result = run_deploy(its, sources, "preview", found.server)
        if not isinstance(result, Deployed):  # a dry run
            return result
        if pull_request:
            _comment(pull_request, found, branch, result)
        result = _stands(found, branch, result)
        show_to_person([result.lines[-1]], call, found.server)
        return result


def _pull_request(call: Call) -> PullRequest | None:
    """Return the pull request that gets a comment. Raises UsageError."""
    if not call.options.comment:
        return None
    if call.options.remove_preview:
        raise UsageError("--comment cannot be combined with --remove.")
    return PullRequest(call.environ)


def _comment(pull: PullRequest, found: DeployedContent, branch: str, result: Result) -> None:
    """Show the preview in the comment that is about this content."""
    url = str(result.facts["url"])
    found.call.report(Step(text="Commenting on the pull request"))
    try:
        marker = f"<!-- hatch-connect preview {found.content.guid} -->"
        shown = _markdown(branch, url, _removal(found.call))
        pull.comment(marker, "\n".join(shown))
    except (ServerError, KeyboardInterrupt) as error:
        error.add_note(f"The preview stands, its earlier draft may too: {url}")
        raise


def _branch(found: DeployedContent) -> str:
    """Return the branch's name: from the call, the CI, or git. Raises UsageError."""
    call, source = found.call, found.source
    names = (call.options.branch, *(call.environ.get(name, "").strip() for name in _BRANCHES))
    known = next(filter(None, names), None)
    branch = known or (source.commit().get("source_branch") if source else None)
    if branch is None:
        raise UsageError(
            "Could not determine the branch from the CI's variables or git.",
            hint="Specify it with: hatch-connect preview --branch NAME",
        )
    if len(branch) > _LONGEST or not branch.isprintable():
        raise UsageError(f"{readable(branch)!r} is not a valid branch name.")
    return branch


def _stands(found: DeployedContent, branch: str, result: Deployed) -> Previewed:
    """Remove the branch's earlier drafts, and return how to show the new one."""
    url, new = str(result.facts["url"]), str(result.facts["bundle_id"])
    try:
        replaced = tuple(_replace(found, branch, new))
    except KeyboardInterrupt as error:
        error.add_note(f"The preview stands, its earlier draft may too: {url}")
        raise
    how = _removal(found.call)
    found.call.report(Note(text=f"To remove it: {how}"))
    shown = _markdown(branch, url, how)
    lines = (*result.lines[:-1], *shown) if found.call.options.markdown else None
    return Previewed(
        lines=lines or result.lines,
        facts={**result.facts, "branch": branch, "removed": list(replaced)},
        deployment=result.deployment,
        summary=result.summary,
        preview=Preview(url=url, branch=branch, deployment=result.deployment, removed=replaced),
    )


def _replace(found: DeployedContent, branch: str, new: str) -> list[str]:
    """Remove what is older than the new draft; one that stays is a warning, as the new one stands.

    A newer one is of another job, which began later.
    """
    removed: list[str] = []
    try:
        history = found.history
        ours = next((bundle for bundle in history.bundles if bundle.id == new), None)
        if ours and dict(ours.metadata).get(PREVIEW) != branch:
            text = "The server does not store the branch (Connect 2025.12 and later does): only "
            text += "a preview from this machine can replace this one."
            found.call.report(Note(text=text))
        older = (b for b in _previews(history, branch) if ours and b.number < ours.number)
        for bundle in older:
            removed += _removed(found, bundle)
    except ServerError as error:
        text = f"An earlier preview of {branch} may not have been removed. {error.message}"
        found.call.report(Warned(text=f"{text} The next preview replaces it."))
    return removed


def _remove(found: DeployedContent, branch: str) -> Removed:
    previews = _previews(found.history, branch)
    guid, ids = found.content.guid, [bundle.id for bundle in previews]
    if not previews:
        text = f"Nothing to remove: content {guid} has no known preview of {branch}."
        found.call.report(Note(text=text))
    removed: list[str] = []
    if not found.call.options.dry_run:
        for bundle in previews:
            removed += _removed(found, bundle)
        ids = removed
    would = "Would remove" if found.call.options.dry_run else "Removed"
    return Removed(
        lines=tuple(f"{would} bundle {each}, a preview of {branch}" for each in ids),
        facts={"guid": guid, "branch": branch, "removed": removed, "previews": ids},
        removed=tuple(removed),
    )


def _previews(history: History, branch: str) -> list[BundleInfo]:
    """Return the branch's drafts, without those that became active: a rollback may need them."""
    bundles: Iterable[BundleInfo] = (b for b in history.bundles if history.preview_of(b) == branch)
    return [bundle for bundle in bundles if not history.was_active(bundle)]


def _removed(found: DeployedContent, bundle: BundleInfo) -> list[str]:
    """Remove a bundle that nobody has activated meanwhile; return its id if it is gone."""
    guid = found.content.guid
    if found.client.content(guid).bundle_id == bundle.id:
        found.call.report(Note(text=f"Keeping bundle {bundle.id}: it is active now."))
        return []
    found.call.report(Step(text=f"Removing bundle {bundle.id}"))
    with suppress(NotFoundError):  # by another job
        found.client.remove_bundle(guid, bundle.id)
    return [bundle.id]


def _removal(call: Call) -> str:
    """Return the command that removes the preview."""
    given = {"--name": call.options.name, "--branch": call.options.branch}
    words = [word for flag, value in given.items() if value for word in (flag, value)]
    return shlex.join(["hatch-connect", "preview", "--remove", *words])


def _markdown(branch: str, url: str, removal: str) -> tuple[str, ...]:
    """Return the preview as Markdown; nobody's branch may end the code that its name stands in."""
    name, how = (text.replace("`", "'") for text in (branch, removal))
    about = f"It runs with the content's variables. To remove it: `{how}`"
    return f"**Preview of `{name}`**: <{url}>", "", about
