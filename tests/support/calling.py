"""Commands called in this process, by a user whose waits are short."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hatch_connect import process
from hatch_connect.options import Options
from support.connecting import hurry
from support.sample_bundle import sample_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from support.fake_connect import FakeConnect
    from support.fake_content import FakeContent

VALUE = "Plant3d-value-of-a-variable"
KEY = "Plant3dKey0123456789abcdefghijkl"


@dataclass(frozen=True, kw_only=True)
class Called:
    """What came of a call."""

    code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        return self.stdout + self.stderr


@dataclass(kw_only=True)
class Caller:
    """Calls commands on prepared bundles in `folder`, in an environment of its own."""

    folder: Path
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    environ: dict[str, str] = field(default_factory=dict)
    answers: Callable[[str], str] | None = None

    def __post_init__(self) -> None:
        surroundings = process.surroundings
        home = self.folder / "home"
        home.mkdir()

        def ours() -> object:
            return replace(
                surroundings(),
                environ={"HOME": str(home), "CONNECT_REQUEST_TIMEOUT": "60", **self.environ},
                directory=self.folder,
                sleep=lambda _seconds: None,
                ask=self.answers,
            )

        self.monkeypatch.setattr(process, "surroundings", ours)
        hurry(self.monkeypatch)
        self.bundle()

    def bundle(self, text: str = "print('hello')\n") -> Path:
        """Write the bundle that `deploy` ships."""
        files = {"app.py": text.encode(), "requirements.txt": b"fastapi==0.100.0\n"}
        return sample_bundle(self.folder / "sales.tar.gz", files=files)

    def knows(self, server: FakeConnect) -> None:
        """Let the environment name this server, and its key."""
        server.api_key = KEY
        self.environ |= {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": KEY}

    def call(self, command: str, **options: object) -> Called:
        """Call a command; options as `hatch publish -o` would give them."""
        code = process.perform(command, Options.of(options))
        out, err = self.capsys.readouterr()
        return Called(code=code, stdout=out, stderr=err)

    def deploy(self, **options: object) -> Called:
        """Deploy the bundle, also if it is active already, with a variable that is a secret."""
        given = {"file": "sales.tar.gz", "environment": (f"TOKEN={VALUE}",), "force": True}
        given |= options
        return self.call("deploy", **given)


def judge(done: Called, server: FakeConnect, before: str | None, had: int) -> FakeContent | None:
    """Hold what is always so; `before` was the active bundle, `had` the number of bundles."""
    assert KEY not in done.said
    assert VALUE not in done.said
    assert "Traceback" not in done.said
    assert len(server.contents) <= 1, "duplicate content"
    content = next(iter(server.contents.values()), None)
    if content is None:
        assert done.code
        return None
    assert len(content.bundles) <= had + 1, "duplicate bundle"
    if done.code == 0:
        assert content.bundle_id == max(content.bundles, key=int)
        assert done.stdout.strip() == f"{server.url}/content/{content.guid}/"
        assert content.environment == {"TOKEN": VALUE}
    else:
        assert content.bundle_id == before, "the active bundle changed"
        assert done.stderr.count("error: ") == 1
    return content


def error_in(done: Called) -> dict[str, object]:
    error: dict[str, object] = json.loads(done.stdout)["error"]
    return error
