"""Connect's error codes, and what a person does about each."""

from __future__ import annotations

# By Connect's own code.
_BY_CODE = {
    4: "It is gone, or this API key may not see it. `--new` makes new content.",
    19: "This API key's user may not do that: ask the content's owner or an administrator.",
    21: "The content is locked: unlock it in the dashboard, or ask its owner to.",
    22: "This API key's user may not do that: ask the content's owner or an administrator.",
    26: "Content of that name is there already: deploy to it with --app-id, or use another name.",
    30: "The API key is not valid on this server: make another in the dashboard and store it with "
    "`hatch-connect add`.",
    48: "The type of content cannot be changed: deploy with `--new`, or set `app-mode` back.",
    82: "The bundle belongs to other content: upload it to this one.",
    104: "The bundle was changed on its way: try again.",
    121: "This server is older and does not know a field that was sent: leave that option out.",
    125: "The bundle holds no files: look at what is shipped with --list.",
    141: "The task is forgotten, as after a restart of the server: look at the content's logs.",
    144: "The server itself fetches this content from a git repository: push there, or deploy with "
    "`--new`.",
}
# By HTTP status, where Connect gave no code that is known here.
_BY_STATUS = {
    400: "The server did not understand the request: is its version supported?",
    401: "The API key is missing or not valid on this server: store one with `hatch-connect add`.",
    403: "This API key's user may not do that: ask an administrator for the publisher's role.",
    404: "Is this the URL of a Posit Connect server? Something else may be at that address.",
    407: "The proxy wants a user name and a password: put them into HTTPS_PROXY.",
    409: "Something else changed it at the same time: try again.",
    413: "The bundle is too large for the server, or for a proxy in front of it: leave files out "
    "with `exclude`, or ask the administrator for a higher limit.",
    429: "The server is asked too often: try again later.",
    500: "The server failed: ask its administrator to look into its log, or try again.",
    502: "A proxy in front of the server got no answer from it: try again later.",
    503: "The server is not ready: try again later.",
    504: "A proxy in front of the server waited too long for it: try again later.",
}


_NOT_FOUND = 404
_ALWAYS_THERE = {"server_settings", "v1/user"}


def next_step(path: str, status: int, code: int | None) -> str | None:
    """Return what to do after a request to `path` was refused."""
    if status == _NOT_FOUND and path in _ALWAYS_THERE:
        return _BY_STATUS[status]
    return _BY_CODE.get(code or 0) or _BY_STATUS.get(status)
