"""The verbs, one module a subject, each a function `run_VERB(call) -> result`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from hatch_connect.programs import IDENTITY_VARIABLES
from hatch_connect.secret import Secret
from hatch_connect.verbs.call import Call

if TYPE_CHECKING:
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.verbs.call import Surroundings
    from hatch_connect.verbs.result import Result

_MODULES = {
    "add": "servers",
    "bundle": "build",
    "details": "servers",
    "info": "content",
    "list": "servers",
    "logout": "login",
    "logs": "content",
    "manifest": "build",
    "plan": "deploy",
    "publish": "deploy",
    "remove": "servers",
    "requirements": "build",
    "rollback": "content",
    "versions": "content",
}
"""The module of each verb that has none of its own name."""


def run_verb(verb: str, options: Options, surroundings: Surroundings, report: Report) -> Result:
    """Carry out one of `options.VERBS`, or `publish`; only that verb's modules are imported.

    The API key of the call or of the environment is masked in everything that is reported, as are
    the headers of the environment and what signs in without a key: servers and builds may repeat
    them. Raises HatchConnectError.
    """
    try:
        module = import_module(f"{__name__}.{_MODULES.get(verb, verb)}")
    except KeyboardInterrupt as error:  # importing takes long enough to be interrupted
        error.add_note("Nothing was changed.")
        raise
    environ = surroundings.environ
    names = ("CONNECT_API_KEY", *IDENTITY_VARIABLES)
    secrets = [options.api_key, *(Secret(environ.get(name, "")) for name in names)]
    if text := environ.get("CONNECT_HTTP_HEADERS"):
        from hatch_connect.connect.headers import secrets_in

        secrets += secrets_in(text)
    called = Call.of(options, surroundings, report)
    with called.masking((*secrets, called.secrets)) as call:
        return cast("Result", getattr(module, f"run_{verb}")(call))
