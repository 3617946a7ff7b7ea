"""What a deployment must achieve, what the server told us, and whether it can succeed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hatch_connect.connect.codes import Code
from hatch_connect.connect.resources import Feature
from hatch_connect.errors import ContentError, PythonVersionError, UsageError
from hatch_connect.project.settings import AS_USUAL
from hatch_connect.ship.declared import NOTHING_DIFFERS, ComparedSettings
from hatch_connect.ship.find import OTHERWISE, check_content

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hatch_connect.connect.records import Changed
    from hatch_connect.connect.resources import BundleInfo, Content, ServerSettings
    from hatch_connect.project.settings import Verification
    from hatch_connect.ship.find import ContentMatch
    from hatch_connect.ship.variables import Variables


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRequest:
    """What a deployment must achieve, known before there is a bundle.

    `title` was asked for, `default_title` is for new content without one. `python` and
    `python_requires` are the manifest's version and range, None for content without Python or if
    only the build tells, and `python_because` is what asked for them. `image` is the one for this
    server, if the manifest names none. `any_name` makes the name a proposal: one that is taken
    gets a number. `draft` leaves the active bundle as it is. `verify` is None for not asking
    whether it answers. `category` ("" for none) and `parameterized` are the manifest's, None if
    there is none yet. `anew` uploads the bundle even if it is the active one. `check` only
    compares: then a variable that is missing is no error.
    """

    app_mode: str
    category: str | None = None
    parameterized: bool | None = None
    name: str
    title: str | None
    default_title: str
    variables: Variables
    python: str | None = None
    python_requires: str | None = None
    python_because: str = ""
    image: str | None = None
    any_name: bool = False
    draft: bool = False
    verify: Verification | None = AS_USUAL
    anew: bool = False
    check: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What the server told us, as far as the plan depends on it.

    `role` is the user's, "" for a key without one. `pythons` (which take new bundles) and
    `variable_names` are None if it does not tell them; `name_is_taken` tells whether the user has
    content of a name already. `last` is the active bundle, or the newest, if it was asked for, and
    `identity` that of the active one, if it matters and is known. `declared` is what differs from
    what is declared of the content. `way_back` is the bundle that may come back by itself if
    another replaces the active one, and `unsettled` the one that an earlier call would have brought
    back for it; both are None unless the project wants that. `changed` are the fields that such a
    call had set, which come back as well.
    """

    settings: ServerSettings
    located: ContentMatch
    role: str = ""
    pythons: tuple[str, ...] | None
    variable_names: frozenset[str] | None
    git_managed: bool = False
    last: BundleInfo | None = None
    identity: str | None = None
    declared: ComparedSettings = NOTHING_DIFFERS
    way_back: str | None = None
    unsettled: str | None = None
    changed: Changed = field(default_factory=dict)
    name_is_taken: Callable[[str], bool] = lambda _name: False


def check_request(wanted: DeploymentRequest, found: ServerFacts) -> None:
    """Refuse what cannot succeed, before anything is built or changed.

    Raises ContentError (the content or the server cannot take this deployment), UsageError (a
    variable is missing) or PythonVersionError (the server has no such Python).
    """
    check_role(found.role)
    for check in CHECKS.values():
        check(wanted, found)


def check_role(role: str) -> None:
    """Refuse a user who cannot deploy. Raises ContentError."""
    if role == "viewer":
        raise ContentError(
            "The user of this API key is a viewer on this server, and viewers cannot deploy.",
            hint="Ask an administrator for the publisher role, or use another API key.",
        )


def _check_content(wanted: DeploymentRequest, found: ServerFacts) -> None:
    content = found.located.content
    if content is not None:
        check_content(found.located, found.role)
        _check_kind(content, wanted, found)


def _check_server(wanted: DeploymentRequest, found: ServerFacts) -> None:
    if since := found.settings.runs_since(wanted.app_mode):
        raise ContentError(
            f"This server does not support app mode {wanted.app_mode!r}: it requires Connect"
            f" {since} or later.",
            hint="Deploy to a newer server. CONNECT_SERVER_VERSION, if set, overrides the"
            " server's version.",
        )
    if wanted.draft and found.settings.supports(Feature.DRAFT) is False:
        raise no_drafts()


def no_drafts() -> ContentError:
    """Return the error for a draft that is asked for and cannot be."""
    return ContentError(
        "This server does not support drafts (Connect 2025.06 or later does).",
        hint="Deploy without --draft. Previews are drafts, and need a server that supports them.",
    )


def _check_kind(content: Content, wanted: DeploymentRequest, found: ServerFacts) -> None:
    known = content.app_mode not in {None, "", "unknown"}
    if known and content.app_mode != wanted.app_mode:
        raise ContentError(
            f"Content {content.guid} ({found.located.because}) has app mode {content.app_mode!r},"
            f" but this bundle has {wanted.app_mode!r}; Connect cannot change the app mode of"
            " content.",
            hint=OTHERWISE,
        )
    if known and None not in {content.category, wanted.category}:
        _check_category(content, wanted)
    if found.git_managed:
        raise ContentError(
            f"Content {content.guid} is fetched from git by the server: it does not accept"
            " uploads.",
            hint="Push to its repository (`hatch-connect manifest --in-place` writes what the"
            " server reads), or deploy with --new.",
        )


def _check_category(content: Content, wanted: DeploymentRequest) -> None:
    """Refuse what Connect would refuse only after the upload, with code 110 or 111."""
    if content.category not in {wanted.category, "mcp"}:  # which is set on the content itself
        raise ContentError(
            f"Content {content.guid} has category {content.category or 'none'}, but this bundle"
            f" has {wanted.category or 'none'}; Connect cannot change the category of content.",
            hint=Code.CONTENT_CATEGORY_CHANGED.next_step,
        )
    # Connect reports parameters for R Markdown only.
    known = content.app_mode == "rmd-static" and content.parameterized is not None
    if known and content.parameterized is not wanted.parameterized:
        has, bundles = ("has", "has none") if content.parameterized else ("has no", "has some")
        raise ContentError(
            f"Content {content.guid} {has} parameters, but this bundle {bundles}; Connect cannot"
            " change that.",
            hint=Code.HAS_PARAMETERS_CHANGED.next_step,
        )


def _check_variables(wanted: DeploymentRequest, found: ServerFacts) -> None:
    on_server = found.variable_names
    if missing := () if wanted.check else wanted.variables.missing(on_server or ()):
        listed = "".join(f"\n  {u.name}: {u.state}; named by {u.asked_by}" for u in missing)
        known = (
            "does not report its variables"
            if on_server is None
            else ("has no values for them either")
        )
        raise UsageError(
            f"These environment variables have no value, and the server {known}:{listed}",
            hint="Set them in the environment of this command and deploy again. `NAME=` sets one"
            " to nothing.",
        )


def _check_python(wanted: DeploymentRequest, found: ServerFacts) -> None:
    if wanted.python is None or found.pythons is None or pythons_for(wanted, found):
        return
    asked, hint = (
        "",
        ("It was prepared for that Python: prepare it again for one of these versions."),
    )
    if wanted.python_because:
        asked = f" ({wanted.python_because})"
        hint = (
            "Request one of these versions with --python-version (`requires-python` must allow it)"
            f" and lock for it, or ask the server's administrator for {_minor(wanted.python)}."
        )
    raise PythonVersionError(
        f"The server does not have Python {_minor(wanted.python)}{asked}; available:"
        f" {', '.join(found.pythons) or 'none for new bundles'}.",
        hint=hint,
    )


CHECKS: Mapping[str, Callable[[DeploymentRequest, ServerFacts], None]] = {
    "content": _check_content,
    "server": _check_server,
    "python": _check_python,
    "variables": _check_variables,
}
"""What `check_request` checks besides the user's role, in order; each raises what is wrong."""


def pythons_for(wanted: DeploymentRequest, found: ServerFacts) -> tuple[str, ...]:
    """Return the versions of Python that the server has and that the content may run with."""
    # Older servers go by the manifest's `python.version` alone. A server that hides its version is
    # most likely a current one.
    current = found.settings.supports(Feature.PYTHON_REQUIRES) is not False
    requires = wanted.python_requires if current else None
    known = found.pythons if wanted.python and found.pythons else ()
    return tuple(each for each in known if _runs(wanted.python or "", requires, each))


def _runs(wanted: str, requires: str | None, version: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return _minor(wanted) == _minor(version) or (
        requires is not None and version in SpecifierSet(requires)
    )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
