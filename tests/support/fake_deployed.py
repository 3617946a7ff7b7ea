"""How the fake Connect shows what is deployed: the files of a bundle, and what was installed."""

from __future__ import annotations

import io
import json
import re
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from support.fake_bundle import Refusal, Reply
from support.fake_fields import STATIC

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.fake_connect import Recorded
    from support.fake_content import FakeBundle, FakeContent
    from support.fake_world import World

_C = r"v1/content/([0-9a-f-]{36})"
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)


@dataclass
class FakeDeployed:
    """What differs between readings of the reference, and what was installed instead of the pins.

    A file's answer is an object with the text, or the text itself; one with more than `preview`
    bytes has no text. `installed` are names and versions by the content's GUID.
    """

    files: Literal["objects", "texts"] = "objects"
    preview: int = 1 << 20
    installed: dict[str, dict[str, str]] = field(default_factory=dict)

    def answer(self, world: World, request: Recorded) -> Reply | None:
        """Answer a request that is about what is deployed; None for any other."""
        for pattern, since, answer in self._ROUTES:
            if match := re.fullmatch(pattern, str(request)):
                content = world.content_of(match[1])
                if not world.knows(*since):
                    return Reply(404, b"404 page not found", "text/plain")
                if content.role not in {"owner", "editor"} and world.user_role != "administrator":
                    raise Refusal(403, 22, "You don't have permission to perform this operation.")
                return answer(self, content, *match.groups()[1:])
        return None

    @staticmethod
    def _bundle(content: FakeContent, number: str) -> FakeBundle:
        if number not in content.bundles:
            raise Refusal(404, 4, "no such bundle")
        return content.bundles[number]

    def _file(self, content: FakeContent, number: str, path: str) -> Reply:
        data = _member(self._bundle(content, number), path)
        if data is None:
            raise Refusal(404, 278, "the bundle has no such file")
        large = len(data) > self.preview
        if self.files == "texts" and not large:
            return Reply(200, data, "text/plain")
        told = {"path": path, "size": len(data), "is_binary": False, "is_truncated": large}
        return Reply.of({**told, "content": None if large else data.decode()})

    def _download(self, content: FakeContent, number: str) -> Reply:
        return Reply(200, self._bundle(content, number).archive, "application/gzip")

    def _pins(self, content: FakeContent) -> dict[str, str]:
        if content.guid in self.installed:
            return self.installed[content.guid]
        bundle = content.bundles[content.bundle_id or ""]
        text = (_member(bundle, "requirements.txt") or b"").decode()
        return {**dict(_PINNED.findall(text)), "pip": "26.3"}

    def _packages(self, content: FakeContent) -> Reply:
        if not content.bundle_id:
            return Reply(204, b"")
        about = {"language": "python", "language_version": "3.11.7", "bundle_id": content.bundle_id}
        pins = sorted(self._pins(content).items())
        return Reply.of([{**about, "name": n, "version": v, "hash": None} for n, v in pins])

    def _lockfile(self, content: FakeContent) -> Reply:
        if not content.bundle_id or content.app_mode in STATIC - {"jupyter-static"}:
            raise Refusal(400, 2, "the content has no managed Python environment")
        lines = "".join(f"{n}=={v}\n" for n, v in sorted(self._pins(content).items()))
        headers = (("Generated-By", "connect; python=3.11.7"),)
        return Reply(200, f"# made by Connect\n{lines}".encode(), "text/plain", headers)

    _ROUTES: ClassVar[tuple[tuple[str, tuple[int, int], Callable[..., Reply]], ...]] = (
        (rf"GET {_C}/bundles/(\d+)/files/(.+)", (2026, 6), _file),
        (rf"GET {_C}/bundles/(\d+)/download", (2021, 1), _download),
        (rf"GET {_C}/packages", (2024, 11), _packages),
        (rf"GET {_C}/lockfile", (2025, 12), _lockfile),
    )


def _member(bundle: FakeBundle, path: str) -> bytes | None:
    if path == "manifest.json" and not bundle.archive:
        return json.dumps(bundle.manifest).encode()
    with tarfile.open(fileobj=io.BytesIO(bundle.archive), mode="r:gz") as tar:
        member = next((m for m in tar.getmembers() if m.name == path), None)
        stream = tar.extractfile(member) if member else None
        return stream.read() if stream else None
