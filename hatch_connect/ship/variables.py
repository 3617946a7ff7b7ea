"""Which environment variables a deployment sets, and which it relies on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.errors import UsageError
from hatch_connect.secret import Secret, why_absent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Unset:
    """A variable that is named without a value, and has none in the environment.

    `state` is how it stands here ("not set", "empty"); `asked_by` is where its name is given.
    """

    name: str
    state: str
    asked_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """The variables of one deployment.

    `values` are set on the server before the upload; those that are None are removed there.
    `relied_on` have no value here: they must be on the server already. `hidden` are the values
    that must not be shown in what a server says, overridden ones included: all except those that
    are written in pyproject.toml.
    """

    values: Mapping[str, Secret | None]
    relied_on: tuple[Unset, ...] = ()
    hidden: tuple[Secret, ...] = ()

    def missing(self, on_server: Collection[str]) -> tuple[Unset, ...]:
        """Return those that have a value neither here nor on the server."""
        return tuple(unset for unset in self.relied_on if unset.name not in on_server)


def collect_variables(
    *,
    table: Iterable[tuple[str, Secret | None]],
    env_file: Path | None,
    given: Iterable[Secret],
    unset: Collection[str] = (),
    environ: Mapping[str, str],
) -> Variables:
    """Merge the variables of the project's table, a file, and `-E`; the later one wins.

    `table` holds (name, value), the value None for a bare name, which takes its value from the
    environment. Raises UsageError naming every variable that is both set and `unset`.
    """
    sources = {
        "`env` in pyproject.toml": dict(table),
        str(env_file): dict(_read_env_file(env_file)) if env_file else {},
        "-E": dict(map(_split, given)),
    }
    listed, *called = sources.values()
    if odd := sorted(name for name in unset if not name or re.search(r"[\s=]", name)):
        # Show the name only: a `=` would be followed by the value.
        shown = ", ".join(repr(name.partition("=")[0]) for name in odd)
        raise UsageError(f"--unset takes only names of variables: {shown}.")
    if both := sorted({name for entries in called for name in entries} & set(unset)):
        raise UsageError(f"Variables cannot be both set and removed: {', '.join(both)}.")
    asked = [
        (name, value if value is not None else _look_up(name, environ, source))
        for source, entries in sources.items()
        for name, value in entries.items()
    ]
    last = {name: value for name, value in asked if name not in unset}
    values = dict.fromkeys(unset) | {n: v for n, v in last.items() if isinstance(v, Secret)}
    if odd := sorted(name for name, value in values.items() if value and not _is_text(value)):
        raise UsageError(f"Values of variables must be UTF-8 text: {', '.join(odd)}.")
    public = set(listed.values())
    return Variables(
        values=values,
        relied_on=tuple(value for value in last.values() if isinstance(value, Unset)),
        hidden=tuple(v for _, v in asked if isinstance(v, Secret) and v not in public),
    )


def _is_text(value: Secret) -> bool:
    try:
        value.reveal().encode()
    except UnicodeEncodeError:
        return False
    return True


def _look_up(name: str, environ: Mapping[str, str], asked_by: str) -> Secret | Unset:
    if state := why_absent(environ.get(name)):
        return Unset(name=name, state=state, asked_by=asked_by)
    return Secret(environ[name])


def _split(given: Secret) -> tuple[str, Secret | None]:
    name, separator, value = given.reveal().partition("=")
    if not name or re.search(r"[\s\0]", name) or "\0" in value:
        raise UsageError("-E takes NAME or NAME=VALUE, without spaces in the name.")
    return name, Secret(value) if separator else None


def _read_env_file(path: Path) -> dict[str, Secret | None]:
    from dotenv.parser import parse_stream

    try:
        with path.open(encoding="utf-8-sig") as file:
            # Unlike load_dotenv, the parser does not interpolate: a "$" in a password stays a "$".
            bindings = list(parse_stream(file))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(
            f"The variables in {path} cannot be read: {reason}.", hint=f"Save {path.name} as UTF-8."
        ) from None
    broken = [str(binding.original.line) for binding in bindings if binding.error]
    if broken:
        raise UsageError(f"{path} cannot be parsed at line {', '.join(broken)}.")
    return {b.key: None if b.value is None else Secret(b.value) for b in bindings if b.key}
