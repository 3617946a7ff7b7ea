"""`details`: whether the server answers, who I am there, and what it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.errors import ProjectError
from hatch_connect.project.project import read_project
from hatch_connect.verbs.project import root_of
from hatch_connect.verbs.reach import chosen_server, client_of, settings_of, who

if TYPE_CHECKING:
    from hatch_connect.connect.resources import ExecutionEnvironment, PythonInstallation, User
    from hatch_connect.connect.servers import Server
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.verbs.surroundings import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerDetails:
    """What a server tells this key; `version` is "" and `pythons` None where it does not."""

    server: Server
    version: str
    user: User | None
    pythons: tuple[PythonInstallation, ...] | None
    images: tuple[ExecutionEnvironment, ...]

    def lines(self) -> tuple[str, ...]:
        """Return a line a fact."""
        pythons = "not told"
        if self.pythons is not None:
            pythons = ", ".join(map(_shown, self.pythons)) or "none"
        return (
            f"Server   {self.server.url}",
            f"Because  {self.server.source}",
            f"Version  {self.version or 'hidden'}",
            f"You      {who(self.user)}",
            f"Python   {pythons}",
            *(f"Image    {i.name}  Python {', '.join(i.pythons)}" for i in self.images),
        )

    def to_dict(self) -> dict[str, object]:
        """Return the facts as an object."""
        pythons = self.pythons
        return {
            "url": self.server.url,
            "name": self.server.name,
            "source": self.server.source,
            "version": self.version,
            "user": self.user
            and {
                "guid": self.user.guid,
                "username": self.user.username,
                "role": self.user.role,
            },
            "python": None if pythons is None else [p.version for p in pythons],
            "images": [{"name": i.name, "python": list(i.pythons)} for i in self.images],
        }


def _shown(python: PythonInstallation) -> str:
    return python.version if python.publishable else f"{python.version} (takes no new bundles)"


def run(options: Options, surroundings: Surroundings, report: Report) -> ServerDetails:
    """Ask the server. Raises UsageError, ServerError."""
    with chosen_server(options, surroundings, _project(options, surroundings), report) as server:
        client = client_of(server, surroundings, report)
        return ServerDetails(
            server=server,
            version=settings_of(client, surroundings).version,
            user=client.user(),
            pythons=client.python_installations(),
            images=client.environments() or (),
        )


def _project(options: Options, surroundings: Surroundings) -> ProjectConfig | None:
    """Return the project if there is one: this verb needs none, nor content in it."""
    try:
        return read_project(root_of(options, surroundings), packages_only=True)
    except ProjectError:
        return None
