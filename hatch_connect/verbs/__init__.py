"""The verbs, one module a subject, each a function `run_VERB(call) -> result`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

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
    "logs": "content",
    "manifest": "build",
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
    the headers of the environment: servers and builds may repeat them. Raises HatchConnectError.
    """
    try:
        module = import_module(f"{__name__}.{_MODULES.get(verb, verb)}")
    except KeyboardInterrupt as error:  # importing takes long enough to be interrupted
        error.add_note("Nothing was changed.")
        raise
    environ = surroundings.environ
    secrets = [options.api_key, Secret(environ.get("CONNECT_API_KEY", ""))]
    if text := environ.get("CONNECT_HTTP_HEADERS"):
        from hatch_connect.connect.headers import secrets_in

        secrets += secrets_in(text)
    with Call.of(options, surroundings, report).masking(secrets) as call:
        return cast("Result", getattr(module, f"run_{verb}")(call))
