"""Which environment variables a deployment sets, and which it relies on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.errors import UsageError
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """The variables of one deployment.

    `values` are set on the server before the upload; those that are None are removed there.
    `relied_on` are names that the project's table lists bare and that have no value here: they
    must be on the server already. `plain` are names whose value stands in pyproject.toml, for all
    to see.
    """

    values: Mapping[str, Secret | None]
    relied_on: tuple[str, ...] = ()
    plain: frozenset[str] = frozenset()

    @property
    def hidden(self) -> tuple[Secret, ...]:
        """The values that nobody may see in what a server says."""
        return tuple(
            value for name, value in self.values.items() if value and name not in self.plain
        )

    def missing(self, on_server: Collection[str]) -> tuple[str, ...]:
        """Return the names that have a value neither here nor on the server."""
        return tuple(name for name in self.relied_on if name not in on_server)


def collect_variables(
    *,
    table: Iterable[tuple[str, Secret | None]],
    env_file: Path | None,
    given: Iterable[Secret],
    unset: Collection[str] = (),
    environ: Mapping[str, str],
) -> Variables:
    """Put together the project's table, a file of variables, and `-E`; the later one wins.

    `table` holds (name, value), the value None for a bare name. Raises UsageError naming every
    variable that was asked for by name on this call and is not set, or both set and `unset`.
    """
    listed = dict(table)
    called = dict(_read_env_file(env_file)) if env_file else {}
    called.update(map(_split, given))
    absent = [name for name, value in called.items() if value is None and name not in environ]
    if absent:
        raise UsageError(
            f"Asked to take from the environment, and not set there: {', '.join(absent)}.",
            hint="Set the variable, or give its value: -E NAME=VALUE.",
        )
    if odd := sorted(name for name in unset if not name or re.search(r"[\s=]", name)):
        raise UsageError(f"--unset takes names of variables, not {', '.join(map(repr, odd))}.")
    if both := sorted(called.keys() & set(unset)):
        raise UsageError(f"Asked to set and to remove: {', '.join(both)}.")
    values: dict[str, Secret | None] = dict.fromkeys(unset)
    relied_on: list[str] = []
    for name, value in (listed | called).items():
        if name in values:
            continue
        known = value if value is not None else _from(environ, name)
        if known is None:
            relied_on.append(name)
        else:
            values[name] = known
    plain = {name for name, value in listed.items() if value and values.get(name) == value}
    return Variables(values=values, relied_on=tuple(relied_on), plain=frozenset(plain))


def _from(environ: Mapping[str, str], name: str) -> Secret | None:
    return Secret(environ[name]) if name in environ else None


def _split(given: Secret) -> tuple[str, Secret | None]:
    name, separator, value = given.reveal().partition("=")
    if not name or re.search(r"[\s\0]", name) or "\0" in value:
        raise UsageError("-E takes NAME=VALUE or NAME, with a name that has no space in it.")
    return name, Secret(value) if separator else None


def _read_env_file(path: Path) -> dict[str, Secret | None]:
    from dotenv.parser import parse_stream

    try:
        with path.open(encoding="utf-8") as file:
            # The parser alone interpolates nothing: a "$" in a password is a "$".
            bindings = list(parse_stream(file))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"Cannot read the variables of {path}: {reason}.") from None
    broken = [str(binding.original.line) for binding in bindings if binding.error]
    if broken:
        raise UsageError(f"{path} is not understood at line {', '.join(broken)}.")
    return {b.key: None if b.value is None else Secret(b.value) for b in bindings if b.key}
