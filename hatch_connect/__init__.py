"""Ship a Hatch project to Posit Connect from the build it already has.

For programs: `from hatch_connect import deploy, build, client, ...` (see `hatch_connect.api`, which
lists the names). Nothing of it is imported before it is asked for.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # as for type checkers; `typing` would take as long as all of `--version`

if TYPE_CHECKING:
    from hatch_connect.api import *  # noqa: F403 - api.py lists the names, once
    from hatch_connect.api import __all__ as __all__
else:

    def __getattr__(name: str) -> object:
        """Import the interface when a name of it is asked for."""
        if name == "__all__":
            return [*_names(), "__version__"]
        if not name.startswith("_") and not _is_module(name) and name in _names():
            from hatch_connect import api

            return getattr(api, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _names() -> list[str]:
    from hatch_connect.api import __all__ as names

    return names


def _is_module(name: str) -> bool:
    """Return whether Python finds it without us: api.py imports most modules itself."""
    from importlib.util import find_spec

    return find_spec(f"{__name__}.{name}") is not None


def __dir__() -> list[str]:
    return sorted({*globals(), *_names()})
