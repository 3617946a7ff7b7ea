"""What can be asked for: one module a verb, `run(options, surroundings, report) -> result`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from hatch_connect.secret import Secret
from hatch_connect.verbs.masking import masking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.verbs.surroundings import Surroundings


class Result(Protocol):
    """What a verb returns: the lines for people, the object for programs."""

    def lines(self) -> tuple[str, ...]:
        """Return what goes to stdout, a line each."""
        ...

    def to_dict(self) -> Mapping[str, object]:
        """Return what `--json` prints."""
        ...


def run_verb(verb: str, options: Options, surroundings: Surroundings, report: Report) -> Result:
    """Carry out one of `options.VERBS`; only that verb's modules are imported.

    The API key of the call or of the environment is shown nowhere, whoever repeats it: a server, or
    a build that prints its environment. Raises HatchConnectError.
    """
    try:
        module = import_module(f"{__name__}.{verb}")
    except KeyboardInterrupt as error:
        error.add_note("Nothing was changed.")
        raise
    of_environment = Secret(surroundings.environ.get("CONNECT_API_KEY", ""))
    with masking((options.api_key, of_environment), report) as told:
        return cast("Result", module.run(options, surroundings, told))
