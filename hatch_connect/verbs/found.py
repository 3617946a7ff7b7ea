"""The content that a project was deployed as, for the verbs that only look."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from hatch_connect.errors import ProjectError, StoreError, UsageError
from hatch_connect.events import Warned
from hatch_connect.secret import Secret
from hatch_connect.ship.find import Clues, find_content
from hatch_connect.ship.history import History
from hatch_connect.verbs.project import content_of, project_of
from hatch_connect.verbs.reach import chosen_server, client_of
from hatch_connect.verbs.subject import clues_of, records_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.records import Attempt, RecordStore
    from hatch_connect.connect.resources import Content, User
    from hatch_connect.connect.servers import Server
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.verbs.surroundings import Surroundings


@dataclass(frozen=True, kw_only=True)
class FoundContent:
    """Content on one server, and what led there; `config` is None where no project was needed.

    `user` is None for the key of a service principal. `hidden` are values that nothing which the
    server says may show: the key, and what the project takes from the environment.
    """

    server: Server
    client: ConnectClient
    user: User | None
    content: Content
    because: str
    config: ProjectConfig | None
    records: RecordStore | None
    hidden: tuple[Secret, ...]
    report: Report

    @cached_property
    def history(self) -> History:
        """What is known of its bundles, here and on the server."""
        guid = self.content.guid
        attempts: tuple[Attempt, ...] = ()
        try:
            if self.records:
                attempts = self.records.attempts(self.server.url, guid)
        except StoreError as error:
            self.report(Warned(text=f"{error.message} What it says of bundles does not count."))
        bundles = self.client.bundles(guid)
        return History(active=self.content.bundle_id, attempts=attempts, bundles=bundles)


@contextmanager
def found_content(
    options: Options, surroundings: Surroundings, report: Report
) -> Iterator[FoundContent]:
    """Find the content as `deploy` would; with `--app-id` no project is needed.

    Raises UsageError where it was never deployed.
    """
    config = _project(options, surroundings)
    with chosen_server(options, surroundings, config, report) as server:
        config = _project(options, surroundings, on=server.table)
        hidden = (*_values(config, surroundings), *filter(None, [server.api_key]))
        client = client_of(server, surroundings, report, hidden)
        records = None
        if config is None:
            clues = Clues(app_id=options.app_id, name=None)
        else:
            records = records_of(config.root, config.content, surroundings, report)
            known = Clues(guid=config.guid, name=config.content_name)
            clues = clues_of(records, options, server, known, report)
        user = client.user()
        located = find_content(client, user, clues, report)
        if located.content is None:
            raise UsageError(
                f"{clues.name} was not deployed to {server.url}: {located.because}.",
                hint="Deploy it with `hatch-connect deploy`.",
            )
        yield FoundContent(
            server=server,
            client=client,
            user=user,
            content=located.content,
            because=located.because,
            config=config,
            records=records,
            hidden=hidden,
            report=report,
        )


def _project(
    options: Options, surroundings: Surroundings, *, on: str | None = None
) -> ProjectConfig | None:
    """Return the project, or None where `--app-id` names content without one."""
    try:
        name = content_of(options, surroundings)
        return project_of(options, surroundings, content=name, on=on)
    except ProjectError:
        if options.app_id and not options.content:
            return None
        raise


def _values(config: ProjectConfig | None, surroundings: Surroundings) -> Iterator[Secret]:
    environ = surroundings.environ
    bare = (entry.name for entry in (config.env if config else ()) if entry.value is None)
    return (Secret(environ[name]) for name in bare if name in environ)
