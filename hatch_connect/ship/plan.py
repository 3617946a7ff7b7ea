"""The steps of a deployment, decided before the first one is taken.

As text, each step says what it would do: `--dry-run` prints the plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from hatch_connect.connect.resources import Feature
from hatch_connect.ship.declared import NOTHING_DIFFERS, ComparedSettings, Phase
from hatch_connect.ship.find import check_content
from hatch_connect.ship.request import check_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from hatch_connect.connect.resources import Content
    from hatch_connect.project.settings import Verification
    from hatch_connect.secret import Secret
    from hatch_connect.ship.declared import SettingChange
    from hatch_connect.ship.find import ContentMatch
    from hatch_connect.ship.request import DeploymentRequest, ServerFacts
    from hatch_connect.ship.variables import Unset

_LONGEST_NAME = 64  # by Connect's rule, which `project.validators` has too


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateContent:
    """Make new content."""

    name: str
    title: str

    def __str__(self) -> str:
        return f"create content named {self.name!r} with the title {self.title!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetVariables:
    """Set environment variables, or remove those without a value; others stay as they are."""

    values: Mapping[str, Secret | None]

    def __str__(self) -> str:
        kept = [name for name, value in self.values.items() if value is not None]
        gone = [name for name, value in self.values.items() if value is None]
        parts = (("set", kept), ("remove", gone))
        return "; ".join(f"{command} {', '.join(names)}" for command, names in parts if names)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateContent:
    """Change a field of `Content`: its title, or the image of this server that it runs in.

    `needed` is False if nobody asked for it: the key may be one that may only upload.
    """

    field: Literal["title", "image"]
    value: str
    needed: bool = True

    def __str__(self) -> str:
        return f"set the {self.field} to {self.value!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Send the bundle, with `metadata` if the server takes it."""

    archive: Path
    size: int
    identity: str
    largest: tuple[tuple[str, int], ...] = ()
    metadata: Mapping[str, str] | None = None

    def __str__(self) -> str:
        return f"upload {self.archive.name} ({self.size:,} bytes)"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployDraft:
    """Restore and start the bundle beside the active one.

    `needed` is False if the bundle may be activated at once by a server that turns out not to know
    drafts: some hide their version, and sources disagree on the first version that can.
    """

    needed: bool

    def __str__(self) -> str:
        return "deploy it as a draft" + ("" if self.needed else " if the server supports drafts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """Ask whether it answers.

    `sure` is False if the server may not know the URL of a draft: some hide their version. `final`
    tells that the active bundle is visited, which no further step of the plan replaces.
    """

    how: Verification
    sure: bool = True
    final: bool = False

    def __str__(self) -> str:
        how = self.how
        at = " and ".join(f"/{path.lstrip('/')}" for path in how.paths)
        status = f" with {' or '.join(map(str, how.status))}" if how.status else ""
        text = f", and contains {how.text!r}" if how.text else ""
        again = f", and once more after {how.pause:g} s" if self.final and how.again else ""
        return f"verify that it answers at {at}{status}{text}{again}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Activate:
    """Make the bundle the active one."""

    def __str__(self) -> str:
        return "activate it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Upload nothing, because the active bundle is the same."""

    bundle_id: str

    def __str__(self) -> str:
        return f"upload nothing: bundle {self.bundle_id} is the same"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployAgain:
    """Deploy the active bundle again: for a reason, or `because` is "", if it does not answer.

    `verify` is how to find out whether it answers, None for not asking.
    """

    because: str
    verify: Verify | None

    def __str__(self) -> str:
        first = f"deploy it again, {self.because}" if self.because else ""
        then = str(self.verify or "") + ("" if first else ", and deploy it again if it does not")
        return "; ".join(filter(None, (first, then)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplySettings:
    """Make the changes that belong to one moment, in order."""

    phase: Phase
    changes: tuple[SettingChange, ...]

    def __str__(self) -> str:
        return f"set what is declared: {', '.join(map(str, self.changes))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps, in order, and the content that exists already (None if they create it).

    `bundle_id` is a bundle that is on the server already, `kept` are variables that are set there
    and stay, and `notes` say what is not done. `way_back` is the bundle that comes back if the one
    that is activated does not answer. `app_mode` is the bundle's, "" for a rollback.
    `declared` is what `ApplySettings` are a part of.
    """

    content: Content | None
    because: str
    steps: tuple[PlanStep, ...]
    kept: tuple[Unset, ...] = ()
    bundle_id: str | None = None
    app_mode: str = ""
    notes: tuple[str, ...] = ()
    declared: ComparedSettings = NOTHING_DIFFERS
    way_back: str | None = None

    @property
    def changes(self) -> tuple[SettingChange, ...]:
        """Return every change of what is declared, in order."""
        steps = (step for step in self.steps if isinstance(step, ApplySettings))
        return tuple(change for step in steps for change in step.changes)

    def lines(self) -> tuple[str, ...]:
        """Return what would happen, a line a step."""
        known = f"content {self.content.guid} ({self.because})" if self.content else self.because
        return known, *(f"{n}. {step}" for n, step in enumerate(self.steps, 1)), *self.notes


PlanStep: TypeAlias = (
    CreateContent
    | SetVariables
    | UpdateContent
    | Upload
    | DeployDraft
    | Verify
    | Activate
    | Keep
    | DeployAgain
    | ApplySettings
)


def make_plan(wanted: DeploymentRequest, found: ServerFacts, upload: Upload | None) -> Plan:
    """Decide the steps that bring a bundle there, or raise what `check_request` does.

    Without an upload it is the one that is active.
    """
    check_request(wanted, found)
    content = found.located.content
    first = _prepare(wanted, found, content)
    kept = content.bundle_id if content and upload is None else None
    if upload:
        then = [upload, *_with_settings(_deploy(wanted, found), found)]
    else:
        again = _keep(wanted, first, found)
        then = [Keep(bundle_id=kept or ""), *_with_settings(again, found)]
    way_back = _way_back(found, kept)
    return Plan(
        content=content,
        because=found.located.because,
        steps=(*first, *then),
        way_back=way_back,
        bundle_id=kept,
        notes=(
            *_not_changed(wanted, found, content),
            *_not_verified(wanted, found),
            *_what_comes_back(wanted, content, way_back, kept),
            *found.declared.left_out,
        ),
        kept=wanted.variables.relied_on,
        app_mode=wanted.app_mode,
        declared=found.declared,
    )


def make_rollback(
    located: ContentMatch,
    bundle_id: str,
    *,
    visible: bool | None,
    verify: Verification | None,
    role: str = "",
) -> Plan:
    """Decide how to activate a bundle that the server keeps, and `verify` it.

    `visible` tells whether a draft can be visited first, `role` is the user's. Raises ContentError.
    """
    check_content(located, role)
    return Plan(
        content=located.content,
        because=located.because,
        steps=tuple(_activate(verify, visible=visible)),
        bundle_id=bundle_id,
    )


def _prepare(
    wanted: DeploymentRequest, found: ServerFacts, content: Content | None
) -> list[PlanStep]:
    steps: list[PlanStep] = []
    if _is_beside(wanted, content):
        return steps
    title = wanted.title
    if content is None:
        name = wanted.name
        if wanted.any_name:
            name = _free_name(wanted.name, found.name_is_taken)
        steps.append(CreateContent(name=name, title=title or wanted.default_title))
    elif not (content.title or content.bundle_id):
        # An earlier call may have created it and ended before it set the title.
        title = title or wanted.default_title
    if not (content and content.bundle_id):  # who may see it is settled before there is anything
        steps += _settings(found, Phase.START)
    if wanted.variables.values:
        steps.append(SetVariables(values=wanted.variables.values))
    if title and content and content.title != title:
        steps.append(UpdateContent(field="title", value=title, needed=wanted.title is not None))
    if wanted.image and (content is None or content.image != wanted.image):
        steps.append(UpdateContent(field="image", value=wanted.image))
    return steps


def _is_beside(wanted: DeploymentRequest, content: Content | None) -> bool:
    """Return whether it is a draft beside an active bundle, whose content must not change."""
    return wanted.draft and content is not None and content.bundle_id is not None


def _not_changed(
    wanted: DeploymentRequest, found: ServerFacts, content: Content | None
) -> Iterator[str]:
    """Return what a deployment without --draft would change."""
    if content is None or not _is_beside(wanted, content):
        return
    left = "The draft does not change the active content"
    there = found.variable_names
    for name, value in wanted.variables.values.items():
        if value is not None:
            known = "may have another value there" if there is None or name in there else "is new"
            yield f"{left}: the variable {name} is not set, and it {known}."
        elif there is None or name in there:
            yield f"{left}: the variable {name} is not removed."
    if wanted.title and content.title != wanted.title:
        yield f"{left}: the title stays {content.title!r} instead of {wanted.title!r}."
    if wanted.image and content.image != wanted.image:
        image = repr(content.image) if content.image else "unset"
        yield f"{left}: the image stays {image} instead of {wanted.image!r}."


def _not_verified(wanted: DeploymentRequest, found: ServerFacts) -> Iterator[str]:
    visible = found.settings.supports(Feature.DRAFT_URL)
    if wanted.draft and wanted.verify is not None and visible is False:
        yield "The draft is not verified: visiting drafts requires Connect 2025.07 or later."


def _way_back(found: ServerFacts, kept: str | None) -> str | None:
    """Return the bundle that comes back if the one that is activated does not answer."""
    if kept is None:
        return found.way_back
    # With the settings that it had; another one only if it was never known to answer.
    return found.unsettled or (kept if found.way_back == kept else None)


def _what_comes_back(
    wanted: DeploymentRequest, content: Content | None, way_back: str | None, kept: str | None
) -> Iterator[str]:
    rolls_back = wanted.verify is not None and wanted.verify.rolls_back and not wanted.draft
    if not (rolls_back and content and content.bundle_id):
        return
    if kept and way_back in {None, kept}:
        return
    if way_back:
        yield f"If it does not answer after activation, bundle {way_back} is restored."
    else:
        yield (
            "If it does not answer after activation, no bundle is restored automatically: none"
            " that was active before is known to have answered."
        )


def _deploy(wanted: DeploymentRequest, found: ServerFacts) -> list[PlanStep]:
    visible = found.settings.supports(Feature.DRAFT_URL)  # None if the server hides its version
    if wanted.draft:
        return [DeployDraft(needed=True), *_verify_draft(wanted.verify, visible=visible)]
    return _activate(wanted.verify, visible=visible)


def _with_settings(deploy: list[PlanStep], found: ServerFacts) -> list[PlanStep]:
    """Return the steps of a deployment with those that set what is declared between them."""
    content = found.located.content
    start = _settings(found, Phase.START) if content and content.bundle_id else []
    narrow, after = (_settings(found, phase) for phase in (Phase.NARROW, Phase.AFTER))
    if found.settings.supports(Feature.DRAFT_URL) is False:
        return [*start, *narrow, *after, *deploy]
    last = (n for n, step in enumerate(deploy) if isinstance(step, Activate | DeployAgain))
    active = next(last, len(deploy))
    return [*start, *deploy[:active], *narrow, *deploy[active:], *after]


def _settings(found: ServerFacts, phase: Phase) -> list[PlanStep]:
    changes = tuple(change for change in found.declared.changes if change.phase is phase)
    return [ApplySettings(phase=phase, changes=changes)] if changes else []


def _keep(wanted: DeploymentRequest, before: list[PlanStep], found: ServerFacts) -> list[PlanStep]:
    """Deploy the active bundle again if that brings anything, or if it does not answer."""
    verify = Verify(how=wanted.verify, final=True) if wanted.verify else None
    because = ""
    if wanted.app_mode.endswith("-static"):  # Connect's modes of documents
        because = "which renders it"
    # A title shows at once, but processes start with their variables, in their image.
    elif _settings(found, Phase.START) or any(
        not (isinstance(step, UpdateContent) and step.field == "title") for step in before
    ):
        because = "to apply the changes"
    return [DeployAgain(because=because, verify=verify)] if because or verify else []


def _verify_draft(how: Verification | None, *, visible: bool | None) -> list[PlanStep]:
    return [Verify(how=how, sure=visible is True)] if how and visible is not False else []


def _activate(how: Verification | None, *, visible: bool | None) -> list[PlanStep]:
    """Activate a bundle, which is verified as a draft first if drafts are `visible`."""
    draft = _verify_draft(how, visible=visible)
    first = [DeployDraft(needed=False), *draft] if draft else []
    return [*first, Activate(), *([Verify(how=how, final=True)] if how else [])]


def _free_name(name: str, is_taken: Callable[[str], bool]) -> str:
    """Return the name, or the name with the first number that makes it free."""
    candidate, number = name, 0
    while is_taken(candidate):
        number += 1
        candidate = f"{name[: _LONGEST_NAME - len(str(number))]}{number}"
    return candidate
