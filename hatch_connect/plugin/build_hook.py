"""The build hook `connect`, which adds a manifest to the artifacts of other targets."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

from hatch_connect.bundle.artifact import describe_artifact, inputs
from hatch_connect.errors import HatchConnectError
from hatch_connect.project.project import read_project

if TYPE_CHECKING:
    from hatch_connect.bundle.artifact import Description
    from hatch_connect.project.project import ProjectConfig


class ConnectBuildHook(BuildHookInterface[BuilderConfig]):
    """Adds `manifest.json` and the package list to the artifact of another target.

    In a wheel they go into its metadata: at its root they would land in site-packages.
    """

    PLUGIN_NAME = "connect"
    _folder: TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Describe the artifact that is about to be built, unless it is an editable install."""
        if version == "editable" or self.target_name == "connect":
            return
        try:
            content = self.config.get("content")
            self._add(read_project(Path(self.root)).content(content), build_data)
        except HatchConnectError as error:
            self.app.abort(str(error), error.exit_code)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - Hatchling's signature
        """Remove the generated files: the artifact holds them now."""
        if self._folder is not None:
            self._folder.cleanup()

    def _add(self, config: ProjectConfig, build_data: dict[str, Any]) -> None:
        if self.target_name == "sdist":
            for path, source in inputs(config, os.environ):
                build_data["force_include"].setdefault(str(source), path)
        files = self._files(build_data)
        wheel = self.target_name == "wheel"
        folder = ""
        if wheel:
            builder = self.build_config.builder
            project_id = getattr(builder, "artifact_project_id", builder.project_id)
            folder = f"{project_id}.dist-info/extra_metadata/connect/"
        described = describe_artifact(config, files, os.environ, folder=folder)
        self._folder = TemporaryDirectory(prefix="hatch-connect-", ignore_cleanup_errors=True)
        for path, text in described.generated:
            name = path.removeprefix(folder)
            generated = Path(self._folder.name, *name.split("/"))
            generated.parent.mkdir(parents=True, exist_ok=True)
            generated.write_bytes(text)
            if wheel:
                build_data["extra_metadata"][str(generated)] = f"connect/{name}"
            else:
                build_data["force_include"][str(generated)] = name
        self._warn(config, described, build_data)

    def _files(self, build_data: dict[str, Any]) -> dict[str, Path | bytes]:
        builder = self.build_config.builder
        with self.build_config.set_build_data(build_data):
            files: dict[str, Path | bytes] = {
                file.distribution_path.replace(os.sep, "/"): Path(file.path)
                for file in builder.recurse_included_files()
            }
        if self.target_name == "sdist":
            # Hatchling writes it after the hooks, from nothing but this.
            metadata = builder.config.core_metadata_constructor(
                self.metadata, extra_dependencies=build_data.get("dependencies", ())
            )
            files["PKG-INFO"] = metadata.encode()
        return files

    def _warn(
        self, config: ProjectConfig, described: Description, build_data: dict[str, Any]
    ) -> None:
        for note in described.notes:
            self.app.display_warning(note)
        for path in described.secrets:
            self.app.display_warning(f"{path} looks like a secret: manifest.json does not list it.")
        hooks = build_data.get("build_hooks", ())
        if hooks and hooks[-1] != self.PLUGIN_NAME:
            self.app.display_warning(
                "The build hook `connect` lists the files that exist when it runs: put it after"
                f" `{hooks[-1]}`."
            )
        if self.target_name != "wheel" and not described.deployable:
            self.app.display_warning(
                f"The {self.target_name} cannot be deployed as it is: `{config.entrypoint}` is"
                " not at its root. Use `hatch build -t connect` to build a bundle."
            )
