"""What a shell completes besides options: saved servers, and the contents of a project.

Nothing is asked of a server. What cannot be read completes to nothing: a shell would show an error
in the middle of the line that is typed.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatch_connect.commands.call import Surroundings


def saved_servers(around: Surroundings) -> dict[str, str]:
    """Return the URL of each saved server, by nickname."""
    with suppress(Exception):
        from hatch_connect.connect.servers import ServerStore

        store = ServerStore(ServerStore.default_path(around.environ, sys.platform))
        return {server.name: server.url for server in store.servers() if server.name}
    return {}


def contents_of_project(around: Surroundings, directory: str | None) -> dict[str, str]:
    """Return the names of the project's contents, each with nothing more to say."""
    with suppress(Exception):
        from hatch_connect.project.project import read_project
        from hatch_connect.project.reading import find_root

        project = read_project(find_root(around.directory / (directory or "")))
        return {name: "" for name in project.contents if name}
    return {}
