"""The builder of `hatch build -t connect`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_connect.bundle.build_protocol import VARIABLE, decode_request, encode_answer
from hatch_connect.bundle.hatchling import HATCHLINGS, BundleBuilder, BundleRun, failed_build
from hatch_connect.errors import HatchConnectError, exit_code_of
from hatch_connect.events import Detail, Event, Note, Step, Warned
from hatch_connect.process import interruptible, temporary_folder
from hatch_connect.project.project import read_project

if TYPE_CHECKING:
    from collections.abc import Generator


class ConnectBuilder(BundleBuilder):
    """The builder target as Hatchling runs it, with the environment, output and exit code."""

    def build(self, **options: Any) -> Generator[str, None, None]:  # noqa: ANN401 - passed on to Hatchling
        """Build; an interrupted build leaves nothing behind."""
        with interruptible():
            try:
                with temporary_folder():
                    yield from self._build_and_answer(**options)
            except KeyboardInterrupt as error:
                self.app.abort("Interrupted.", exit_code_of(error))

    def _build_and_answer(self, **options: Any) -> Generator[str, None, None]:  # noqa: ANN401 - as above
        """Build, and write the result to the file that the caller named."""
        reported: list[Event] = []
        answer: Path | None = None

        def report(event: Event) -> None:
            reported.append(event)
            self._show(event)

        try:
            project = read_project(Path(self.root))
            request = None
            if text := os.environ.get(VARIABLE):
                request, answer = decode_request(text, project)
            self.run = BundleRun(
                project=project, request=request, environ=os.environ, report=report
            )
            for name in options.get("versions") or ():
                if name not in self.get_version_api():
                    project.content(name)  # raises: there is none of this name
            yield from super().build(**options)
        except (HatchConnectError, *HATCHLINGS) as raised:
            error = raised
            if not isinstance(error, HatchConnectError):
                error = failed_build(Path(self.root), error)
            _answer(answer, encode_answer(None, reported, error))
            self.app.abort(str(error), error.exit_code)
        else:
            _answer(answer, encode_answer(next(iter(self.run.built), None), reported))

    def _show(self, event: Event) -> None:
        show = {
            Step: self.app.display_waiting,
            Note: self.app.display_info,
            Warned: self.app.display_warning,
            Detail: self.app.display_debug,
        }.get(type(event))
        if show is not None and isinstance(event, Step | Note | Warned | Detail):
            show(event.text)


def _answer(file: Path | None, text: str) -> None:
    if file is not None:
        file.write_text(text, encoding="utf-8")
