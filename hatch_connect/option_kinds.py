"""The shape of an option: what kinds there are, how one is declared, how text becomes a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from hatch_connect.errors import UsageError
from hatch_connect.project.settings import SETTINGS
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable


class OptionKind(Enum):
    """What a call gives for an option, and what `Options` holds of it."""

    FLAG = "flag"  # bool
    TEXT = "text"  # str | None
    SECRET = "secret"  # noqa: S105 - the word, not a password; Secret | None
    TEXTS = "texts"  # repeatable: tuple[str, ...]
    SECRETS = "secrets"  # repeatable: tuple[Secret, ...]
    NUMBER = "number"  # int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionSpec:
    """How one option is spelled and what it is for.

    `key` is the field of `Options`; `flags` start with the long spelling, `--` included; `group`
    is the set of verbs that take it (see `VERBS`); `setting` is the key of
    [tool.hatch-connect] that the option overrides, or None.
    """

    key: str
    kind: OptionKind
    flags: tuple[str, ...]
    help: str
    metavar: str
    group: str
    setting: str | None = None
    positional: bool = False

    @property
    def long(self) -> str:
        """The long spelling without its dashes: `api-key`."""
        return self.flags[0].removeprefix("--")

    @property
    def repeatable(self) -> bool:
        """Whether a call may give it more than once."""
        return self.kind in {OptionKind.TEXTS, OptionKind.SECRETS}


_DEFAULTS: dict[OptionKind, Any] = {
    OptionKind.FLAG: False,
    OptionKind.TEXTS: (),
    OptionKind.SECRETS: (),
}


def option(kind: OptionKind, flags: str, group: str, about: str = "", **more: Any) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Declare a field of `Options`: `flags` in any order, `more` as in `OptionSpec`.

    An option that overrides a setting is for what the setting is for.
    """
    long, *others = sorted(flags.split(), key=lambda flag: not flag.startswith("--"))
    about = about or SETTINGS[more["setting"]].doc
    spec = {"kind": kind, "flags": (long, *others), "group": group, "help": about, **more}
    spec.setdefault("metavar", "TEXT")
    return field(default=_DEFAULTS.get(kind), metadata=spec)


flag = partial(option, OptionKind.FLAG)
text = partial(option, OptionKind.TEXT)
texts = partial(option, OptionKind.TEXTS)
secret = partial(option, OptionKind.SECRET)
secrets = partial(option, OptionKind.SECRETS)
number = partial(option, OptionKind.NUMBER)


_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


def convert(spec: OptionSpec, given: object) -> object:
    """Convert what a door was given to the value that `Options` holds. Raises UsageError."""
    match spec.kind:
        case OptionKind.FLAG:
            return _flag(spec, given)
        case OptionKind.NUMBER:
            return _number(spec, given)
        case OptionKind.TEXT:
            return _filled(spec, str(given))
        case OptionKind.SECRET:
            return given if isinstance(given, Secret) else Secret(_filled(spec, str(given)))
        case OptionKind.TEXTS:
            return tuple(_filled(spec, str(each)) for each in _several(given))
        case OptionKind.SECRETS:
            return tuple(v if isinstance(v, Secret) else Secret(str(v)) for v in _several(given))


def _several(given: object) -> Iterable[object]:
    return given if isinstance(given, (list, tuple)) else (given,)


def _filled(spec: OptionSpec, given: str) -> str:
    """Refuse an empty value: most often the shell filled in a variable that is not set."""
    if not given.strip():
        raise UsageError(f"The option --{spec.long} is given, and its value is empty.")
    return given


def _flag(spec: OptionSpec, given: object) -> bool:
    word = str(given).strip().lower()
    if word not in _TRUE | _FALSE:
        raise UsageError(f"The option {spec.long!r} is on or off, not {given!r}.")
    return word in _TRUE


def _number(spec: OptionSpec, given: object) -> int:
    try:
        return int(str(given))
    except ValueError:
        raise UsageError(f"The option {spec.long!r} takes a number, not {given!r}.") from None
