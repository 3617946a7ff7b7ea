"""What a project declares of its content on the server: `[tool.hatch-connect.settings]`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredField:
    """One value that is declared; `called` is its place as a message names it.

    `name` is what Connect calls it (`min_processes`), `key` what a table calls it
    (`min-processes`). `value` is as Connect takes it: bytes for memory, `logged_in` for access,
    an absolute path for the thumbnail. None goes back to the server's default, or removes it.
    """

    key: str
    name: str
    value: str | float | bool | None
    called: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredNames:
    """A list of names that is declared; if it is `whole`, what it does not name is removed.

    Names are as they are written: `ann`, `group:analysts`, `Department/Finance`, or GUIDs.
    """

    key: str
    names: tuple[str, ...]
    whole: bool
    called: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredSettings:
    """What is declared for one piece of content on one server; what is not, is None or absent."""

    fields: tuple[DeclaredField, ...] = ()
    viewers: DeclaredNames | None = None
    collaborators: DeclaredNames | None = None
    tags: DeclaredNames | None = None
    integrations: DeclaredNames | None = None
    vanity_path: DeclaredField | None = None
    thumbnail: DeclaredField | None = None
    allow_removals: bool = False

    def __bool__(self) -> bool:
        """Return whether anything is declared."""
        lists = self.viewers, self.collaborators, self.tags, self.integrations
        return any((self.fields, *lists, self.vanity_path, self.thumbnail))
