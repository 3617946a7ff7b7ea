"""Keyrings for `keyring`, which loads one by PYTHON_KEYRING_BACKEND=support.fake_keyring.NAME."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class FileKeyring(KeyringBackend):
    """Keeps values in the file $FAKE_KEYRING, and says in $FAKE_KEYRING.log what was asked."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def get_password(self, service: str, username: str) -> str | None:
        return self._values("get", username).get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        values = self._values("set", username)
        values[f"{service} {username}"] = password
        self._write(values)

    def delete_password(self, service: str, username: str) -> None:
        values = self._values("delete", username)
        if values.pop(f"{service} {username}", None) is None:
            raise PasswordDeleteError("not found")
        self._write(values)

    @property
    def _path(self) -> Path:
        return Path(os.environ["FAKE_KEYRING"])

    def _values(self, what: str, username: str) -> dict[str, str]:
        with self._path.with_suffix(".log").open("a", encoding="utf-8") as log:
            log.write(f"{what} {username}\n")
        text = self._path.read_text(encoding="utf-8") if self._path.exists() else "{}"
        values: dict[str, str] = json.loads(text)
        return values

    def _write(self, values: dict[str, str]) -> None:
        scratch = self._path.with_suffix(f".{os.getpid()}")
        scratch.write_text(json.dumps(values), encoding="utf-8")
        scratch.replace(self._path)


class ReadOnlyKeyring(FileKeyring):
    """Takes nothing, and repeats in its error what it was given."""

    def set_password(self, service: str, username: str, password: str) -> None:
        raise OSError(f"cannot store {password} for {username} of {service}")


class RaisingKeyring(KeyringBackend):
    """Fails whatever it is asked."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def get_password(self, service: str, username: str) -> str | None:
        raise RuntimeError(f"no bus for {service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise RuntimeError(f"no bus for {service} {username} {password}")

    def delete_password(self, service: str, username: str) -> None:
        raise RuntimeError(f"no bus for {service} {username}")


class HangingKeyring(RaisingKeyring):
    """Waits for somebody to type a password, who never comes."""

    def get_password(self, service: str, username: str) -> str | None:
        threading.Event().wait()
        return super().get_password(service, username)
