"""`manifest.json`: what Posit Connect reads to learn what a bundle is.

The order of the keys is the one in which the official client writes them; what identifies a
bundle is the digest of the canonical form, which depends on no order.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hatch_connect.bundle.parts import (
    Environment,
    Jupyter,
    ListedFile,
    Metadata,
    Python,
    Quarto,
    get,
    need,
    without_none,
)
from hatch_connect.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MANIFEST_NAME = "manifest.json"
# A manifest says which machine made it; ours does not, so that the same inputs give the same bytes.
LOCALE = "en_US.UTF-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest of version 1.

    `unread` holds what other clients write and this one only passes on (the packages of R, keys
    of later servers): `(name, JSON text)`.
    """

    metadata: Metadata
    locale: str | None = LOCALE
    jupyter: Jupyter = field(default_factory=Jupyter)
    quarto: Quarto | None = None
    python: Python | None = None
    environment: Environment = field(default_factory=Environment)
    unread: tuple[tuple[str, str], ...] = ()
    files: tuple[ListedFile, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Manifest:
        """Read a manifest; a BundleError names the key that is wrong.

        What official clients left out at some time may be missing.
        """
        if (version := data.get("version", 1)) != 1:
            message = f"manifest.json: `version` must be 1, not {json.dumps(version)}."
            raise BundleError(message)
        quarto = get(data, "quarto", dict)
        python = get(data, "python", dict)
        return cls(
            metadata=Metadata.from_dict(need(data, "metadata", dict)),
            locale=get(data, "locale", str),
            jupyter=Jupyter.from_dict(get(data, "jupyter", dict) or {}),
            quarto=None if quarto is None else Quarto.from_dict(quarto),
            python=None if python is None else Python.from_dict(python),
            environment=Environment.from_dict(get(data, "environment", dict) or {}),
            unread=tuple((k, json.dumps(v)) for k, v in data.items() if k not in _KEYS),
            files=_listed_files(get(data, "files", dict) or {}),
        )

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Read the bytes of a `manifest.json`."""
        return cls.from_dict(parse(text))

    def with_files(self, files: Iterable[ListedFile]) -> Manifest:
        """Give the same manifest for these files."""
        return replace(self, files=tuple(files))

    def to_dict(self) -> dict[str, object]:
        """Give the JSON object, its keys in the official client's order.

        The package file comes first among the files, as it does there.
        """
        package_file = self.python.package_file if self.python else None
        files = sorted(self.files, key=lambda file: (file.path != package_file, file.path))
        rest = {name: json.loads(text) for name, text in self.unread}
        return {
            **without_none(
                version=1,
                locale=self.locale,
                metadata=self.metadata.to_dict(),
                jupyter=self.jupyter.to_dict() or None,
                quarto=self.quarto.to_dict() if self.quarto else None,
                python=self.python.to_dict() if self.python else None,
                environment=self.environment.to_dict() or None,
            ),
            **rest,
            "files": {file.path: {"checksum": file.checksum} for file in files},
        }

    def to_json(self) -> bytes:
        """Give the bytes of the file: indent 2, ASCII only, no final newline."""
        return json.dumps(self.to_dict(), indent=2).encode()

    @property
    def digest(self) -> str:
        """The SHA-256 (hex) of the canonical form: keys sorted, no white space."""
        return _digest(self.to_dict())


_KEYS = frozenset(
    {"version", "locale", "metadata", "jupyter", "quarto", "python", "environment", "files"}
)


def digest_of(text: bytes, checksums: Mapping[str, str]) -> str:
    """Return the digest of a manifest's bytes with these files in place of the listed ones."""
    return _digest({**parse(text), "files": {p: {"checksum": c} for p, c in checksums.items()}})


def _digest(data: Mapping[str, object]) -> str:
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def parse(text: bytes) -> dict[str, object]:
    """Read the JSON object of a manifest."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"manifest.json is not JSON: {error}.") from error
    if not isinstance(data, dict):
        raise BundleError("manifest.json must hold a JSON object.")
    return data


def _listed_files(data: Mapping[str, object]) -> tuple[ListedFile, ...]:
    files = []
    for path, entry in data.items():
        where = f"files[{json.dumps(path)}]"
        if not isinstance(entry, dict | None):
            raise BundleError(f"manifest.json: `{where}` must be an object.")
        checksum = get(entry or {}, "checksum", str, where) or ""
        files.append(ListedFile(path=path, checksum=checksum.lower()))
    return tuple(files)
