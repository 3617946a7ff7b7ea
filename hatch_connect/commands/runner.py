"""What runs the commands: what `init` adds for Hatch, and the workflows of CI services.

The workflows are the recipes of docs/how-to, which a test compares.
"""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from hatch_connect.commands.additions import Addition
from hatch_connect.commands.server import server_store
from hatch_connect.commands.setup import OURS
from hatch_connect.errors import StoreError
from hatch_connect.programs import own_requirement, own_url
from hatch_connect.project.metadata import parse_requirement
from hatch_connect.project.reading import HATCH, PYPROJECT
from hatch_connect.typed import list_at, text_at, texts_at

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hatch_connect.commands.setup import Start, StartContent

SERVICES = {"github": ".github/workflows/deploy.yml", "gitlab": ".gitlab-ci.yml"}
EXAMPLE = "https://connect.example.com"

_GITHUB = """\
name: Deploy

on:
  push:
    branches: [main]

permissions: {{}}

concurrency:
  group: deploy

jobs:
  deploy:
    runs-on: ubuntu-latest
    environment: production
    permissions:
      contents: read # to check the repository out
      id-token: write # to ask for an identity token
    steps:
      - uses: actions/checkout@v4
        with:
          persist-credentials: false
      - run: pipx run {command}
{folder}        env:
          CONNECT_SERVER: {server}
          CONNECT_API_KEY: ${{{{ secrets.CONNECT_API_KEY }}}} # if the server does not trust it
"""
_GITLAB = """\
deploy:
  image: python:3.13
  environment: production
  rules:
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
  id_tokens:
    CONNECT_IDENTITY_TOKEN:
      aud: connect
  variables:
    CONNECT_SERVER: {server}
    # Masked variables of the project: CONNECT_API_KEY{variables}
  script:
    - pip install --quiet {package}
{folder}    - {command}
"""


def workflow(
    service: str, *, server: str, hatch: bool, variables: Iterable[str], folder: str
) -> str:
    """Return the workflow that deploys the project in this folder of its repository.

    Values of variables are the service's secrets: they are left to the person, because an empty
    one would be set on the server.
    """
    command = "hatch run connect:deploy" if hatch else "hatch-connect deploy"
    # A bare name would install what anybody may have published under it.
    package = "hatch" if hatch else shlex.quote(own_requirement(url=own_url()))
    quoted = "" if folder == "." else json.dumps(folder)
    if service == "github":
        below = f"        working-directory: {quoted}\n" if quoted else ""
        run = command if package in {"hatch", "hatch-connect"} else f"--spec {package} {command}"
        text = _GITHUB.format(server=server, command=run, folder=below)
        return text + "".join(
            f"          # {name}: ${{{{ secrets.{name} }}}}\n" for name in variables
        )
    below = f"    - {json.dumps(f'cd {shlex.quote(folder)}')}\n" if quoted else ""
    named = "".join(f", {name}" for name in variables)
    return _GITLAB.format(
        server=server, command=command, folder=below, package=package, variables=named
    )


def hatch_additions(start: Start) -> list[tuple[str, Addition]]:
    """Return what Hatch needs, each with its file: what `hatch.toml` has counts there."""
    tables, url = start.tables.hatch_tables, own_url()
    required = list_at(tables, "env", "requires")
    wants = [] if _names_us(required) else [own_requirement("local", url=url)]
    values: dict[str, object] = {"requires": wants} if wants else {}
    wanted = [(("env",), values), (("env", "collectors", "connect"), {})]
    if start.backend.startswith("hatchling"):
        target = ("build", "targets", "connect")
        has = _names_us(list_at(tables, *target, "dependencies"))
        wanted.append((target, {} if has else {"dependencies": [own_requirement(url=url)]}))
    return [
        (HATCH, Addition(table=keys, values=values))
        if keys[0] in start.tables.hatch
        else (PYPROJECT, Addition(table=("tool", "hatch", *keys), values=values))
        for keys, values in wanted
    ]


def _names_us(requirements: list[object]) -> bool:
    parsed = (parse_requirement(str(each)) for each in requirements)
    return any(each and canonicalize_name(each.name) == "hatch-connect" for each in parsed)


def server_and_variables(
    start: Start, contents: tuple[StartContent, ...]
) -> tuple[str | None, tuple[str, ...]]:
    """Return the server that a workflow deploys to, and the variables that it must have."""
    table = start.tables.table(*OURS) or {}
    tables = [table, *(content.settings for content in contents)]
    names = (text.partition("=") for each in tables for text in texts_at(each, "env"))
    named = [url for each in tables if (url := text_at(each, "server")) and "://" in url]
    if not named:
        with suppress(StoreError):
            store = server_store(start.call)
            default = store.default_name()
            saved = store.get(default) if default else None
            named = [saved.url] if saved else []
    return next(iter(named), None), tuple(name for name, given, _ in names if not given)
