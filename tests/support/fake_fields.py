"""The fields of content that the fake Connect knows, and its rules for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from support.fake_bundle import Refusal

if TYPE_CHECKING:
    from support.fake_settings import FakeSettings

_INT32, _INT64 = (1 << 31) - 1, (1 << 63) - 1
_PROCESSES = ("min_processes", "max_processes", "max_conns_per_process", "load_factor")
_TIMEOUTS = ("connection_timeout", "read_timeout", "init_timeout", "idle_timeout")
# Each with its code if it is negative, and if it is over the server's limit.
_RESOURCES = {
    "memory_request": (181, 182),
    "memory_limit": (183, 184),
    "cpu_request": (186, 187),
    "cpu_limit": (188, 189),
    "amd_gpu_limit": (196, 197),
    "nvidia_gpu_limit": (198, 199),
}
_ADMINISTRATORS = ("run_as", "run_as_current_user", "service_account_name")
_NUMBERS = ("load_factor", "cpu_request", "cpu_limit")
_TEXTS = ("run_as", "service_account_name", "default_image_name")
STATIC = {"static", "jupyter-static", "quarto-static", "rmd-static"}

# What content has if nobody has set it.
DEFAULTS: dict[str, object] = {
    "description": "",
    "access_type": "acl",
    **dict.fromkeys((*_TIMEOUTS, *_PROCESSES, *_RESOURCES, *_TEXTS)),
    "run_as_current_user": False,
    "default_environment_guid": None,
    "default_py_environment_management": None,
    "default_r_environment_management": None,
    "metrics_collection_enabled": None,
}


class Check:
    """The fields of one request: refused with Connect's code before any of them is changed."""

    def __init__(self, settings: FakeSettings, role: str | None, app_mode: str) -> None:
        self._settings, self._role, self._app_mode = settings, role, app_mode

    def __call__(self, fields: dict[str, object], has: dict[str, object]) -> None:
        """Raise the refusal of these fields, for content that `has` others."""
        for name, value in fields.items():
            if not self._is_of_type(name, value):
                raise Refusal(400, 87, f"{name} has a wrong type")
        if self._role != "administrator" and not fields.keys().isdisjoint(_ADMINISTRATORS):
            raise Refusal(403, 22, "You don't have permission to perform this operation.")
        if self._app_mode in STATIC and not fields.keys().isdisjoint((*_PROCESSES, *_TIMEOUTS)):
            raise Refusal(400, 147, "such content has no processes")
        self._texts(fields)
        self._identity(fields)
        self._processes(fields, DEFAULTS | has | fields)
        self._resources(fields, DEFAULTS | has | fields)

    @staticmethod
    def _is_of_type(name: str, value: object) -> bool:
        if value is None and name in DEFAULTS:
            return DEFAULTS[name] is None
        if name in _NUMBERS:
            return isinstance(value, int | float) and not isinstance(value, bool)
        if name in {*_PROCESSES, *_TIMEOUTS, *_RESOURCES}:
            most = _INT64 if name in _RESOURCES else _INT32
            return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= most
        if name in {"description", "access_type", *_TEXTS}:
            return isinstance(value, str)
        return not name.endswith(("_management", "_enabled", "_user")) or isinstance(value, bool)

    def _texts(self, fields: dict[str, object]) -> None:
        settings = self._settings
        if len(str(fields.get("description", ""))) > 4096:
            raise Refusal(400, 123, "the description is too long")
        access = fields.get("access_type", "acl")
        if access not in {"all", "logged_in", "acl"}:
            raise Refusal(400, 117, "there is no such access type")
        if access == "all" and not settings.licence["public-access"]:
            raise Refusal(402, 260, "public access is not licensed")
        if access not in settings.access_types:
            raise Refusal(400, 118, "the access type is not allowed")

    def _identity(self, fields: dict[str, object]) -> None:
        settings = self._settings
        if fields.get("run_as_current_user") and not settings.run_as_current_user:
            raise Refusal(400, 54, "run as the current user is prohibited")
        if (user := fields.get("run_as")) and self._app_mode in STATIC:
            raise Refusal(400, 55, "such content does not run")
        if user and user not in settings.unix_users:
            raise Refusal(400, 57, "there is no such user")
        if account := fields.get("service_account_name"):
            if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", str(account)):
                raise Refusal(400, 176, "that is no name of a service account")
            if settings.execution_type != "Kubernetes":
                raise Refusal(400, 195, "service accounts are not configured")
            if account not in settings.service_accounts:
                raise Refusal(400, 178, "there is no such service account")

    def _processes(self, fields: dict[str, object], now: dict[str, object]) -> None:
        limits = self._settings.scheduler
        known = {name: _number(now[name], limits.get(name, 0)) for name in _PROCESSES}
        for name, code in (("min_processes", 191), ("max_processes", 192)):
            if name in fields and known[name] < 0:
                raise Refusal(400, code, f"{name} is negative")
        if "max_processes" in fields and not known["max_processes"]:
            raise Refusal(400, 272, "max_processes is 0")
        for name, code in (("min_processes", 45), ("max_processes", 113)):
            most = limits[f"{name}_limit"]
            if name in fields and most and known[name] > most:
                raise Refusal(400, code, f"{name} is over the limit")
        if known["min_processes"] > known["max_processes"]:
            raise Refusal(400, 114, "min_processes is above max_processes")
        if fields.get("max_conns_per_process") is not None and known["max_conns_per_process"] < 1:
            raise Refusal(400, 239, "max_conns_per_process is not positive")
        if not 0 <= known["load_factor"] <= 1:
            raise Refusal(400, 150, "load_factor is not from 0 to 1")
        if any(_number(fields.get(name), 0) < 0 for name in _TIMEOUTS):
            raise Refusal(400, 151, "a time-out is negative")

    def _resources(self, fields: dict[str, object], now: dict[str, object]) -> None:
        for name, (negative, over) in _RESOURCES.items():
            value, most = _number(fields.get(name), 0), self._settings.scheduler[f"max_{name}"]
            if value < 0:
                raise Refusal(400, negative, f"{name} is negative")
            if most and value > most:
                raise Refusal(400, over, f"{name} is over the limit")
        for kind, code in (("memory", 185), ("cpu", 190)):
            request, limit = now[f"{kind}_request"], now[f"{kind}_limit"]
            if limit is not None and _number(request, 0) > _number(limit, 0):
                raise Refusal(400, code, f"{kind}_request is above {kind}_limit")


def _number(value: object, otherwise: float) -> float:
    return value if isinstance(value, int | float) else otherwise
