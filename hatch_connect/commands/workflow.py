"""The workflows that `init --ci` writes: the recipes of docs/how-to, which a test compares."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    # CONNECT_API_KEY is a masked variable of the project; not needed if the server trusts this job
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
    quoted = "" if folder == "." else json.dumps(folder)
    if service == "github":
        below = f"        working-directory: {quoted}\n" if quoted else ""
        text = _GITHUB.format(server=server, command=command, folder=below)
        return text + "".join(
            f"          # {name}: ${{{{ secrets.{name} }}}}\n" for name in variables
        )
    below = f"    - cd {quoted}\n" if quoted else ""
    package = "hatch" if hatch else "hatch-connect"
    return _GITLAB.format(server=server, command=command, folder=below, package=package)
