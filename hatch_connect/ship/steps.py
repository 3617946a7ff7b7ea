"""The steps that a deployment is made of; each says what it would do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_connect.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateContent:
    """Make new content."""

    name: str

    def __str__(self) -> str:
        return f"create content named {self.name!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetVariables:
    """Set environment variables, or remove those without a value; others stay as they are."""

    values: Mapping[str, Secret | None]

    def __str__(self) -> str:
        kept = [name for name, value in self.values.items() if value is not None]
        gone = [name for name, value in self.values.items() if value is None]
        told = [f"set {', '.join(kept)}"] if kept else []
        return "; ".join([*told, f"remove {', '.join(gone)}"] if gone else told)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTitle:
    """Change the title."""

    title: str

    def __str__(self) -> str:
        return f"set the title to {self.title!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetImage:
    """Have the content run in an image of this server."""

    image: str

    def __str__(self) -> str:
        return f"set the image to {self.image!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Send the bundle."""

    archive: Path
    size: int
    largest: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        return f"upload {self.archive.name} ({self.size:,} bytes)"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployDraft:
    """Restore and start the bundle beside the active one.

    `needed` is False where the bundle may be activated in one go if the server turns out not to
    know drafts: some hide their version, and sources disagree on the first version that can.
    """

    needed: bool

    def __str__(self) -> str:
        return "deploy it as a draft" + ("" if self.needed else " first, if the server can")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """Ask whether it answers at `path` below the content's URL.

    `sure` is False if the server may not know the URL of a draft: some hide their version.
    """

    path: str
    sure: bool = True

    def __str__(self) -> str:
        return f"verify that it answers at /{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Activate:
    """Make the bundle the active one."""

    def __str__(self) -> str:
        return "activate it"


PlanStep: TypeAlias = (
    CreateContent | SetVariables | SetTitle | SetImage | Upload | DeployDraft | Verify | Activate
)
