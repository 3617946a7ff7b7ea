"""The publisher of `hatch publish -p connect`, which deploys bundles that are already built."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from hatch_connect.errors import HatchConnectError
from hatch_connect.options import SPECS, OptionKind, Options

if TYPE_CHECKING:
    from collections.abc import Mapping

# Options that `hatch publish` always passes on, meant for its own index publisher.
_FOREIGN = ("no_prompt", "initialize_auth")


def _options(configured: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge [tool.hatch.publish.connect] and `-o key=value`, by the keys of `Options`."""
    merged = {k: v for k, v in {**configured, **given}.items() if k not in (*_FOREIGN, "disable")}
    named = {key.replace("-", "_"): value for key, value in merged.items()}
    # `-o draft` arrives with an empty value.
    flags = {key for key, spec in SPECS.items() if spec.kind is OptionKind.FLAG}
    return {key: True if value == "" and key in flags else value for key, value in named.items()}


@cache
def publisher_class() -> type[Any]:
    """Make the publisher's class, which needs Hatch itself."""
    from hatch.publish.plugin.interface import PublisherInterface

    class ConnectPublisher(PublisherInterface):
        """Deploys the bundles named, or those of the project in dist/connect/."""

        PLUGIN_NAME = "connect"

        def publish(self, artifacts: list[str], options: dict[str, Any]) -> None:
            from hatch_connect.process import perform

            given = _options({**self.plugin_config, **self.project_config}, options)
            given.setdefault("directory", str(self.root))
            try:
                call = Options.of({**given, "file": tuple(artifacts)})
            except HatchConnectError as error:
                self.app.abort(str(error), error.exit_code)
            typed = "api_key" in _options({}, options)
            command = "deploy" if artifacts else "publish"
            if code := perform(command, call, key_typed=typed):
                self.app.abort(code=code)

    return ConnectPublisher
