"""What Hatch and Hatchling call.

This module is imported in Hatch's interpreter and in isolated build environments, where Hatch
itself is absent: each hook imports what it needs inside its body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hatchling.plugin import hookimpl

if TYPE_CHECKING:
    from hatch_connect.plugin.build_hook import ConnectBuildHook
    from hatch_connect.plugin.builder import ConnectBuilder


@hookimpl
def hatch_register_builder() -> type[ConnectBuilder]:
    from hatch_connect.plugin.builder import ConnectBuilder

    return ConnectBuilder


@hookimpl
def hatch_register_build_hook() -> type[ConnectBuildHook]:
    from hatch_connect.plugin.build_hook import ConnectBuildHook

    return ConnectBuildHook


@hookimpl
def hatch_register_environment_collector() -> type[Any]:
    from hatch_connect.plugin.collector import collector_class

    return collector_class()


@hookimpl
def hatch_register_publisher() -> type[Any]:
    from hatch_connect.plugin.publisher import publisher_class

    return publisher_class()
