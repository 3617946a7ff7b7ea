"""Small projects to build, and one way to build them."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from hatch_connect.bundle.build import build
from hatch_connect.bundle.build_protocol import BuildRequest
from hatch_connect.bundle.packages import PackageInputs
from hatch_connect.project.project import read_project
from support.bundles import Heard, write_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_connect.bundle.build_protocol import Built
    from hatch_connect.project.project import ProjectConfig

HATCHLING = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
PROJECT = '[project]\nname = "sales-api"\nversion = "1.2.0"\nrequires-python = ">=3.11"\n'
CONNECT = '[tool.hatch-connect]\napp-mode = "fastapi"\nentrypoint = "sales_api.main:app"\n'
LOCKED = {"requirements.txt": "fastapi==0.115.0\n", ".python-version": "3.11\n"}
APP = "app = 1\n"
PACKAGE = {"src/sales_api/__init__.py": "", "src/sales_api/main.py": APP}


def project(
    root: Path,
    files: Mapping[str, str | bytes],
    *,
    more: str = "",
    system: str = HATCHLING,
    connect: str = CONNECT,
) -> Path:
    """Write a project; `more` is the end of its pyproject.toml."""
    text = f"{system}\n{PROJECT}\n{connect}\n{more}"
    return write_files(root, {"pyproject.toml": text, **LOCKED, **files})


def configuration(
    root: Path,
    *,
    overrides: Mapping[str, object] | None = None,
    content: str | None = None,
    on: str | None = None,
    packages_only: bool = False,
) -> ProjectConfig:
    """Read a project for one piece of content."""
    return read_project(root).content(
        content, on=on, overrides=overrides, packages_only=packages_only
    )


def build_one(
    root: Path,
    environ: Mapping[str, str],
    heard: Heard | None = None,
    *,
    content: str | None = None,
    overrides: Mapping[str, object] | None = None,
    **more: object,
) -> Built:
    """Build the bundle of one piece of content; `more` is for the request, or its inputs."""
    known = {each.name for each in fields(PackageInputs)}
    inputs = {name: value for name, value in more.items() if name in known}
    rest = {name: value for name, value in more.items() if name not in known}
    request = BuildRequest(
        config=configuration(root, content=content, overrides=overrides),
        inputs=PackageInputs(**inputs),  # type: ignore[arg-type] # as each test says
        **rest,  # type: ignore[arg-type] # as above
    )
    return build(request, environ, heard or Heard())


def paths(built: Built) -> list[str]:
    return [file.path for file in built.bundle.manifest.files]


def rules(built: Built) -> dict[str, str]:
    return {item.path: item.rule for item in built.left_out}
