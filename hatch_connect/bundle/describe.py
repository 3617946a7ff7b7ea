"""What the manifest says of content, but for its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_connect.bundle.manifest import LOCALE, Manifest
from hatch_connect.bundle.parts import Environment, Jupyter, Metadata, Python, Quarto
from hatch_connect.project.settings import EnvironmentManagement

if TYPE_CHECKING:
    from hatch_connect.bundle.packages import Packages
    from hatch_connect.bundle.quarto import Inspection
    from hatch_connect.project.project import ProjectConfig


def needs_packages(
    config: ProjectConfig, inspection: Inspection | None, python_option: str | None = None
) -> bool:
    """Return whether the server runs Python for this content, so that it needs packages.

    That of Quarto content may be out of Quarto's sight: naming its packages or its Python asks.
    """
    asked = config.names_python or python_option is not None
    return config.app_mode.has_python and (inspection is None or inspection.needs_python or asked)


def metadata_of(config: ProjectConfig, inspection: Inspection | None = None) -> Metadata:
    """Give `metadata` of the manifest.

    As in the official client's, HTML is named twice, but that of a rendered notebook once.
    """
    mode = config.app_mode.name
    if config.rendered:
        return Metadata(app_mode=mode, primary_html=config.entrypoint)
    if mode.startswith("quarto"):
        return Metadata(app_mode=mode, content_category=inspection.category if inspection else None)
    is_html = mode == "static"
    return Metadata(
        app_mode=mode,
        entrypoint=config.entrypoint,
        primary_html=config.entrypoint if is_html else None,
    )


def describe(
    config: ProjectConfig, packages: Packages | None, inspection: Inspection | None = None
) -> Manifest:
    """Give the manifest, without its files."""
    source = config.app_mode.name == "jupyter-static"
    managed = config.environment_management or EnvironmentManagement()
    return Manifest(
        locale=LOCALE if packages else None,
        metadata=metadata_of(config, inspection),
        jupyter=Jupyter(
            hide_all_input=source and config.hide_all_input,
            hide_tagged_input=source and config.hide_tagged_input,
        ),
        quarto=Quarto(version=inspection.version, engines=inspection.engines)
        if inspection
        else None,
        python=_python(config, packages) if packages else None,
        environment=Environment(
            python_requires=packages.python.requires if packages else None,
            image=config.image,
            manage_python=managed.python,
            manage_r=managed.r,
        ),
    )


def _python(config: ProjectConfig, packages: Packages) -> Python:
    chosen = config.package_installer
    return Python(
        version=packages.python.version,
        package_file=packages.path,
        manager=chosen or "pip",
        allow_uv=None if chosen is None else chosen == "uv",
    )
