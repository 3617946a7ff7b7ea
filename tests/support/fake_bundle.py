"""How the fake Connect reads uploads: strictly."""

from __future__ import annotations

import email
import email.policy
import io
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

_APP_MODES = {
    *("api", "jupyter-static", "jupyter-voila", "nodejs", "python-api", "python-bokeh"),
    *("python-dash", "python-fastapi", "python-gradio", "python-panel", "python-shiny"),
    *("python-streamlit", "quarto-shiny", "quarto-static", "rmd-shiny", "rmd-static"),
    *("shiny", "static", "tensorflow-saved-model"),
}


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, value: object, status: int = 200) -> Self:
        return cls(status, json.dumps(value).encode())


class Refusal(Exception):  # noqa: N818 - it is an answer, not an error of the tests
    """A refusal, as Connect words one."""

    def __init__(self, status: int, code: int | None, error: str) -> None:
        super().__init__(error)
        self.status, self.code, self.error = status, code, error

    def reply(self) -> Reply:
        return Reply.of({"code": self.code, "error": self.error, "payload": None}, self.status)


def parts_of(headers: Mapping[str, str], body: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the archive and the metadata of an upload, raw or multipart."""
    kind = headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        return body, {}
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    found = {
        str(p.get_param("name", header="content-disposition")): p for p in message.iter_parts()
    }
    if found.keys() != {"archive", "metadata"}:
        raise Refusal(400, 87, "multipart needs archive and metadata, and nothing else")
    if found["archive"].get_content_type() != "application/x-tar":
        raise Refusal(400, 87, "the archive is no application/x-tar")
    metadata = json.loads(_payload(found["metadata"]))
    if not all(isinstance(v, str) for v in metadata.values()):
        raise Refusal(400, 121, "metadata holds strings only")
    return _payload(found["archive"]), metadata


def _payload(part: email.message.Message) -> bytes:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


def manifest_in(archive: bytes) -> dict[str, object]:
    """Return the manifest of a bundle that Connect takes.

    It takes files that are not listed, and checksums that differ, but none that is missing.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            members = tar.getmembers()
            _check_names(members)
            files = {m.name: _read(tar, m) for m in members if m.isfile()}
    except (tarfile.TarError, EOFError, OSError) as error:
        raise Refusal(400, 135, f"the bundle cannot be unpacked: {error}") from error
    manifest = json.loads(files.pop("manifest.json", b"null"))
    if not isinstance(manifest, dict):
        raise Refusal(400, 38, "the bundle has no manifest")
    _check_manifest(manifest, files)
    return manifest


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    assert stream is not None
    with stream:
        return stream.read()


def _check_names(members: list[tarfile.TarInfo]) -> None:
    names = [member.name for member in members]
    if len(names) != len(set(names)):
        raise Refusal(400, 135, "a name is there twice")
    for member in members:
        unsafe = member.name.startswith("/") or ".." in member.name.split("/")
        if unsafe or "\\" in member.name or not (member.isfile() or member.isdir()):
            raise Refusal(400, 135, f"{member.name} is not safe")


def _check_manifest(manifest: dict[str, object], files: dict[str, bytes]) -> None:
    metadata, listed = manifest.get("metadata"), manifest.get("files") or {}
    if manifest.get("version", 1) != 1 or not isinstance(metadata, dict):
        raise Refusal(400, 38, "the manifest has another version than 1 or no metadata")
    if metadata.get("appmode") not in _APP_MODES:
        raise Refusal(400, 148, f"there is no app mode {metadata.get('appmode')}")
    models = {name.partition("/") for name in files if "saved_model.pb" in name}
    if metadata.get("appmode") == "tensorflow-saved-model" and not any(
        top.isdecimal() and rest in {"saved_model.pb", "saved_model.pbtxt"}
        for top, _, rest in models
    ):
        raise Refusal(502, 105, "no saved_model.pb in a folder that is a version")
    if not isinstance(listed, dict) or listed.keys() - files.keys():
        raise Refusal(400, 38, "the manifest lists files that the archive does not hold")
