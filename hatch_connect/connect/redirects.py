"""Which redirects are followed, and what is said of the others."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from hatch_connect.errors import RefusedError

from .answer import readable


def target_of(url: str, location: str) -> str | None:
    """Return the URL that a redirect from `url` means; None where it means none."""
    try:
        target = urljoin(url, location)
        _ = urlsplit(target).port
    except ValueError:
        return None
    return target


def followed(url: str, target: str) -> bool:
    """Tell whether a read may go on at `target`: the same host, never from https to http."""
    here, there = urlsplit(url), urlsplit(target)
    if here.hostname != there.hostname:
        return False
    if (here.scheme, there.scheme) == ("http", "https"):
        return True
    return (here.scheme, here.netloc) == (there.scheme, there.netloc)


def redirect_refused(request: str, status: int, server: str, target: str) -> RefusedError:
    """Return the error for a redirect that is not followed; nothing was sent to `target`."""
    here, there = urlsplit(server), urlsplit(target)
    shown = readable(f"{there.scheme}://{there.netloc.rpartition('@')[2]}{there.path}")
    message = f"The server redirects {request} to {shown}; that was not followed."
    if here.hostname != there.hostname:
        hint = (
            "Something in front of Connect may want a login. If the server has moved, use its new "
            "URL, with an API key that it gave."
        )
    elif there.scheme == "https":
        hint = f"Use {_moved(server, target)} as the server's URL."
    else:
        hint = "Check the server's URL: the server wants another one."
    return RefusedError(message, status=status, hint=hint)


def _moved(server: str, target: str) -> str:
    """Return the server's URL as the target has it, with what the server's own path was."""
    there = urlsplit(target)
    before, api, _ = there.path.partition("/__api__")
    return f"https://{there.netloc.rpartition('@')[2]}{before if api else urlsplit(server).path}"
