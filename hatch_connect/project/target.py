"""The machine that the content will run on: locks are evaluated for it, not for this one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.tags import Tag

HIGH_PATCH = 99
"""Stands for the newest patch release of a minor if only X.Y is known."""

_GLIBC_MINORS = range(39, 4, -1)
"""glibc 2.39 (Ubuntu 24.04) is the newest on a system that Connect supports, as of 2026."""

_LEGACY_MANYLINUX = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The machine that the content will run on: CPython `python` ("3.11" or "3.11.4")."""

    python: str
    system: str = "linux"
    machine: str

    def __str__(self) -> str:
        return f"CPython {self.python} on {self.system} {self.machine}"

    @property
    def minor(self) -> str:
        """The version as X.Y."""
        return minor_of(self.python)

    def environment(self, patch: int = 0) -> dict[str, str]:
        """Return all eleven variables of PEP 508's marker environment.

        `patch` is used only if the target's own patch release is not known. `packaging` would fill
        in whatever is missing from the machine that this runs on.
        """
        known = self.python.count(".") > 1
        full = self.python if known else f"{self.minor}.{patch}"
        return {
            "implementation_name": "cpython",
            "implementation_version": full,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": self.system.capitalize(),
            "platform_version": "",
            "python_full_version": full,
            "python_version": self.minor,
            "sys_platform": self.system,
        }

    def environments(self) -> tuple[dict[str, str], ...]:
        """Return the environments of the first and the newest patch release of the minor."""
        first, newest = self.environment(), self.environment(HIGH_PATCH)
        return (first,) if first == newest else (first, newest)

    def tags(self) -> tuple[Tag, ...]:
        """Return the tags of wheels that can be installed there (PEP 425), the best first."""
        from packaging.tags import compatible_tags, cpython_tags

        version = tuple(int(part) for part in self.minor.split("."))
        interpreter = "cp" + "".join(map(str, version))
        platforms = self._platforms()
        return (
            *cpython_tags(version, abis=[interpreter], platforms=platforms),
            *compatible_tags(version, interpreter=interpreter, platforms=platforms),
        )

    def _platforms(self) -> list[str]:
        # manylinux_2_N means glibc 2.N or newer (PEP 600); three of these had names of their own.
        platforms = []
        for minor in _GLIBC_MINORS:
            platforms.append(f"manylinux_2_{minor}_{self.machine}")
            if minor in _LEGACY_MANYLINUX:
                platforms.append(f"{_LEGACY_MANYLINUX[minor]}_{self.machine}")
        return [*platforms, f"{self.system}_{self.machine}"]


def minor_of(version: str) -> str:
    """Return X.Y of a version."""
    return ".".join(version.split(".")[:2])
