"""Sales figures, as a WSGI application that needs no package."""

import json
from collections.abc import Callable

FIGURES = {"north": 120, "south": 95}


def app(environ: dict[str, object], start_response: Callable[..., object]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    figures = FIGURES if environ["REQUEST_METHOD"] == "GET" else {}
    return [json.dumps(figures).encode()]
