"""Connect's own error codes, and what to do about each."""

from __future__ import annotations

import enum
from typing import Self

_ASK = "Ask the content's owner or an administrator for permission."
_ANOTHER = "Deploy with --new, or to other content with --app-id."
_LICENCE = "Ask the server's administrator, or deploy to another server."
_POLICY = "Ask the server's administrator what is allowed."
_LOWER = "Lower it, or ask the server's administrator to raise the limit."
_AGAIN = "Try again; if it keeps failing, ask the server's administrator to check its log."

_NOT_FOUND = 404
_NO_SUCH_PATH = "404 page not found"  # how Connect answers a path that it does not have
_TOO_OLD = (
    "The server seems to be too old to know this request; `hatch-connect details` shows its"
    " version."
)
_ALWAYS_THERE = {"server_settings", "v1/user"}  # paths that every version of Connect has

SERVERS_URL = (
    "Check that this is the URL of a Posit Connect server, including its path prefix, but without"
    " the `/connect/` of its dashboard"
)
_NEW_KEY = (
    "Create a new one in the dashboard and save it with `hatch-connect add`; if CONNECT_API_KEY is"
    " set, put it there instead."
)


class Code(enum.IntEnum):
    """The codes that our requests can meet: number, what it means, and what to do next.

    The number alone decides: sources disagree on the HTTP status that comes with each. The names
    are those of Connect's API reference (`APIErrorCode`).
    """

    meaning: str
    next_step: str

    def __new__(cls, number: int, meaning: str, next_step: str) -> Self:
        """Create a member that equals its number and carries its texts."""
        code = int.__new__(cls, number)
        code._value_ = number
        code.meaning = meaning
        code.next_step = next_step
        return code

    INTERNAL_FAILURE = 1, "The server encountered an internal error.", _AGAIN
    BAD_REQUEST = 2, "The server did not understand the request.", "Check that the version of"
    " the server is supported."
    INVALID_ID = (
        3,
        "The server does not accept this form of ID.",
        "Check the GUID or number of the content or the bundle.",
    )
    OBJECT_DOES_NOT_EXIST = (
        4,
        "It does not exist, or this API key cannot see it.",
        "Name other content with --app-id, or make new content with --new.",
    )
    INVALID_APPLICATION_NAME = (
        5,
        "The server does not accept the content's name.",
        "Set `content-name` in [tool.hatch-connect]: 3 to 64 letters, digits, `-` and `_`.",
    )
    NOT_OBJECT_OWNER = 10, "Only the content's owner can do that.", _ASK
    PARAMETER_MISSING = 12, "The request is incomplete.", "Check that the version of the"
    " server is supported."
    NO_VIEW_PERMISSION = 19, "This API key cannot see that.", _ASK
    NO_REMOVE_PERMISSION = 20, "This API key cannot remove that.", _ASK
    NO_UPDATE_PERMISSION = (
        21,
        "This API key has no permission to change the content.",
        "Ask its owner or an administrator to add you as a collaborator, or deploy with --new.",
    )
    PERMISSION_DENIED = (
        22,
        "This API key has no permission to do that.",
        "Ask the content's owner or an administrator: deploying requires the publisher role.",
    )
    AUTH_REQUIRED = (
        24,
        "The server requires an API key.",
        "Save one with `hatch-connect add`, or set CONNECT_API_KEY.",
    )
    INVALID_PARAMETER = 25, "The server does not accept a value that was sent.", _POLICY
    DUPLICATE_NAME = (
        26,
        "Content with that name already exists.",
        "Deploy to it with --app-id, or set another `content-name`.",
    )
    BUNDLE_MISSING = (
        28,
        "The server has lost the bundle's file.",
        "Deploy again, or roll back to another bundle; `hatch-connect versions` lists them.",
    )
    TOKEN_EXPIRED = (
        29,
        "The API key has expired.",
        _NEW_KEY,
    )
    INVALID_LOGIN = (
        30,
        "The API key is not valid on this server.",
        _NEW_KEY,
    )
    INVALID_COLLABORATOR = (
        33,
        "That account can only view content.",
        "Name it in `viewers`, or ask an administrator to make it a publisher.",
    )
    INVALID_COLLABORATOR_OWNER = (
        34,
        "That is the content's owner, who always has full access.",
        "Remove the name from `viewers` and `collaborators`.",
    )
    INVALID_MANIFEST = (
        38,
        "The server cannot read the bundle's manifest.json.",
        "Write it with `hatch-connect manifest`; other tools may write it for a newer server.",
    )
    USER_NOT_CONFIRMED = (
        40,
        "The account of this API key has not been confirmed.",
        "Confirm it with the e-mail that the server sent, or ask an administrator.",
    )
    MIN_PROCESSES_OVER_LIMIT = 45, "`min-processes` is above the server's limit.", _LOWER
    APP_MODE_CHANGED = (
        48,
        "The type of content cannot be changed.",
        f"Set `app-mode` back. {_ANOTHER}",
    )
    USER_LOCKED = (
        50,
        "The account of this API key is locked.",
        "Ask an administrator to unlock it.",
    )
    VANITY_PATH_IN_USE = (
        51,
        "Other content has that path, or one above or below it.",
        "Set another `vanity-path`.",
    )
    PROHIBITED_VANITY_PATH = 52, "The server reserves that path.", "Set another one."
    IMMUTABLE_FIELDS = (
        53,
        "The server does not allow a field to be changed.",
        "Remove the option or setting that changes it.",
    )
    RUN_AS_CURRENT_PROHIBITED = (
        54,
        "This server does not allow content to run as its viewer.",
        _POLICY,
    )
    RUN_AS_NON_EXECUTABLE_PROHIBITED = 55, "Content of this type does not run.", "Remove `run-as`."
    RUN_AS_USER_PROHIBITED = 56, "Content is not allowed to run as that user.", _POLICY
    RUN_AS_USER_NOT_FOUND = 57, "The server has no such user to run content as.", _POLICY
    RUN_AS_GROUP_MEMBERSHIP = (
        58,
        ("That user is not in the group that is allowed to run content."),
        _POLICY,
    )
    API_NOT_LICENSED = 65, "The server's licence does not cover APIs.", _LICENCE
    BUNDLE_ID_MISMATCH = 69, "That is not the bundle that is deployed.", "Deploy again."
    DELETE_ACTIVE_BUNDLE = (
        75,
        "The active bundle cannot be removed.",
        "Activate another bundle first: hatch-connect rollback BUNDLE",
    )
    NO_CATEGORY_APP_ASSIGNMENT = (
        79,
        "That is a category of tags, which content cannot have.",
        "Name a tag in it, as in `Category/Tag`.",
    )
    FOREIGN_BUNDLE = (
        82,
        "The bundle belongs to other content.",
        "Upload it to this content: hatch-connect deploy FILE",
    )
    CANNOT_PARSE_REQUEST_BODY = (
        87,
        "The server did not understand the request.",
        "Check that the version of the server is supported.",
    )
    IN_RESTRICTED_ACCESS_MODE = (
        99,
        "The server only lets administrators in, as it does when its licence has expired.",
        _LICENCE,
    )
    QUEUE_ITEM_IN_PROGRESS = (
        100,
        "The server is still processing this content.",
        "Try again when it has finished.",
    )
    CONTENT_CHECKSUM = (
        104,
        "The bundle was changed in transit.",
        "Try again; a proxy may be the cause.",
    )
    TENSORFLOW_NOT_LICENSED = 105, "The server's licence does not cover TensorFlow.", _LICENCE
    ENVIRONMENT_VERSION_MISMATCH = (
        106,
        "The server does not have that version of Python.",
        "`hatch-connect details` lists the available versions; request one with --python-version.",
    )
    PROHIBITED_ENVIRONMENT = (
        108,
        "The server does not allow content to run in that environment.",
        "`hatch-connect details` lists the images; set `image` to one of them, or remove it.",
    )
    PROHIBITED_APP_MODE = 109, "The server does not allow this type of content.", _LICENCE
    CONTENT_CATEGORY_CHANGED = (
        110,
        "The category of content (site, plot or none) cannot be changed.",
        _ANOTHER,
    )
    HAS_PARAMETERS_CHANGED = (
        111,
        "Content with parameters cannot become content without, or the other way round.",
        _ANOTHER,
    )
    MAX_PROCESSES_OVER_LIMIT = 113, "`max-processes` is above the server's limit.", _LOWER
    MIN_PROCESSES_OVER_MAX_PROCESSES = (
        114,
        "`min-processes` is above `max-processes`, or above the server's default for it.",
        "Set both.",
    )
    UNKNOWN_ACCESS_TYPE = 117, "The server does not know that access type.", _POLICY
    PROHIBITED_ACCESS_TYPE = 118, "The server does not allow that access type.", _POLICY
    INVALID_JSON = (
        121,
        "The server is too old to know a field that was sent.",
        "Remove the option that needs it.",
    )
    INVALID_APPLICATION_TITLE = (
        122,
        "The server does not accept the title.",
        "Set `title` or --title to 3 to 1,024 characters.",
    )
    INVALID_APPLICATION_DESCRIPTION = (
        123,
        "The server does not accept the description.",
        "Shorten it.",
    )
    INVALID_CONTENT_LENGTH = (
        125,
        "The upload was empty or incomplete.",
        "Check what ships with --list, and try again.",
    )
    BYTES_WRITTEN_MISMATCH = (
        126,
        "The server did not store the whole upload.",
        "Try again; if it keeps failing, ask the administrator whether its disk is full.",
    )
    BUNDLE_WRITE = (
        134,
        "The server could not store the bundle.",
        "Ask the administrator whether its disk is full.",
    )
    BUNDLE_EXTRACT = (
        135,
        "The server could not unpack the bundle.",
        "Check that the deployed file is a gzip-compressed tar archive, or ask the administrator.",
    )
    TASK_DOES_NOT_EXIST = (
        141,
        "The server does not know the task; a load balancer may have asked another server.",
        "Check the content's logs, and ask the administrator for sticky sessions.",
    )
    APP_IS_GIT_MANAGED = (
        142,
        "The server fetches this content from a git repository.",
        "Push to that repository, or deploy with --new.",
    )
    NO_BUNDLE_UPLOAD_FOR_GIT_MANAGED_APP = (
        144,
        "The server fetches this content from a git repository.",
        "Push to that repository, or deploy with --new.",
    )
    APP_MODE_IS_NOT_EXECUTABLE = 147, "Content of this type cannot be run.", _ANOTHER
    INVALID_APP_MODE = (
        148,
        "The server does not know this type of content.",
        "Check with `hatch-connect details` that the server is new enough for `app-mode`.",
    )
    DUPLICATE_ENVIRONMENT_VARIABLE = (
        149,
        "A variable was given twice.",
        "Give it once; upper and lower case may count as the same name.",
    )
    INVALID_LOAD_FACTOR = 150, "The load factor is not valid.", "It must be between 0 and 1."
    INVALID_TIMEOUT = 151, "A timeout is not valid.", "It must be 0 or more seconds."
    INVALID_INCLUDE = (
        161,
        "The server does not know what to include.",
        ("Check that its version is supported."),
    )
    UNRECOGNIZED_SERVICE_ACCOUNT_NAME = 178, "The server has no such service account.", _POLICY
    MEMORY_REQUEST_OVER_LIMIT = 182, "`memory-request` is above the server's limit.", _LOWER
    MEMORY_LIMIT_OVER_LIMIT = 184, "`memory-limit` is above the server's limit.", _LOWER
    MEMORY_REQUEST_OVER_MEMORY_LIMIT = (
        185,
        "`memory-request` is above `memory-limit`, or above the server's default for it.",
        "Set both.",
    )
    CPU_REQUEST_OVER_LIMIT = 187, "`cpu-request` is above the server's limit.", _LOWER
    CPU_LIMIT_OVER_LIMIT = 189, "`cpu-limit` is above the server's limit.", _LOWER
    CPU_REQUEST_OVER_CPU_LIMIT = (
        190,
        "`cpu-request` is above `cpu-limit`, or above the server's default for it.",
        "Set both.",
    )
    INVALID_DEFAULT_IMAGE_NAME = (
        193,
        "The server does not know the image.",
        "`hatch-connect details` lists the images; set `image` to one of them, or remove it.",
    )
    INVALID_SERVICE_ACCOUNT_CONFIGURATION = (
        195,
        ("The server does not support service accounts for content."),
        _POLICY,
    )
    AMD_GPU_LIMIT_OVER_LIMIT = 197, "`amd-gpu-limit` is above the server's limit.", _LOWER
    NVIDIA_GPU_LIMIT_OVER_LIMIT = 199, "`nvidia-gpu-limit` is above the server's limit.", _LOWER
    INVALID_OAUTH_INTEGRATION_GUID = (
        207,
        "The server has no such OAuth integration.",
        "Look up its name in the dashboard, and correct `integrations`.",
    )
    OAUTH_INTEGRATIONS_NOT_LICENSED = (
        221,
        "The server's licence does not cover OAuth integrations.",
        _LICENCE,
    )
    LOCKED_CONTENT_BUNDLE = (
        222,
        "The content is locked.",
        "Unlock it in the dashboard, in the content's settings.",
    )
    LOCKED_CONTENT_PROCESS = (
        223,
        "The content is locked and cannot run.",
        "Unlock it in the dashboard, in the content's settings.",
    )
    INVALID_MAX_CONNS_PER_PROCESS = (
        239,
        "`max-connections-per-process` is not valid.",
        "It must be at least 1 and at most the server's limit.",
    )
    PUBLIC_ACCESS_NOT_LICENSED = 260, "The server's licence does not cover public access.", _LICENCE
    EMPTY_ENVIRONMENT_VARIABLE_NAME = 266, "A variable has no name.", "Check `env` and -E."
    NODE_JS_NOT_LICENSED = 270, "The server's licence does not cover Node.js.", _LICENCE
    NODE_JS_NOT_ENABLED = 271, "Node.js is not enabled on this server.", _LICENCE
    MAX_PROCESSES_ZERO = 272, "Content cannot run without processes.", "Set it to 1 or more."
    PUBLISHERS_CANNOT_UPLOAD_BUNDLES = (
        274,
        "This server only allows administrators to upload bundles.",
        "Ask an administrator to deploy, or to allow it.",
    )
    OAUTH_CREDENTIAL_ID_TOKEN_VERIFICATION = (
        275,
        "The server does not accept the identity token.",
        "Ask the administrator which issuers and subjects are trusted.",
    )
    OAUTH_MISSING_ID_TOKEN = (
        276,
        "The identity token is missing.",
        "Grant it to the CI job in its permissions.",
    )
    RATE_LIMIT_EXCEEDED = 277, "Too many requests were sent to the server.", "Try again later."
    BUNDLE_FILE_NOT_FOUND = 278, "The bundle has no such file.", "Check its path."


# By HTTP status, for answers without a code of Connect's.
_BY_STATUS = {
    400: "Check that the version of the server is supported: it did not understand the request.",
    401: "Check the API key, which is missing or not valid on this server, or save one with"
    " `hatch-connect add`.",
    403: "Ask an administrator for the publisher role: the user of this API key has no"
    " permission to do that.",
    404: f"{SERVERS_URL}: something else may be at that address.",
    407: "Put a user name and a password into HTTPS_PROXY: the proxy requires them.",
    409: "Try again: something else changed it at the same time.",
    413: "Leave files out with `exclude`, or ask the administrator for a higher limit: the"
    " bundle is too large for the server, or for a proxy in front of it.",
    429: "Try again later: too many requests were sent to the server.",
    500: "Try again, or ask the server's administrator to check its log.",
    502: "Try again later: a proxy in front of the server got no response from it.",
    503: "Try again later: the server is not ready.",
    504: "Try again later: a proxy in front of the server timed out.",
}


def next_step(path: str, status: int, number: int | None, text: str = "") -> str | None:
    """Return what a refusal of a request to `path` means and what to do, as far as it is known.

    `text` is the whole answer of a server that gave no code.
    """
    if status == _NOT_FOUND and path in _ALWAYS_THERE:
        return _BY_STATUS[status]
    if status == _NOT_FOUND and number is None and text == _NO_SUCH_PATH:
        return _TOO_OLD
    if number is None:
        return _BY_STATUS.get(status)
    code = next((code for code in Code if code == number), None)
    # For a code that is not listed here, the HTTP status would be no reliable guide.
    return f"{code.meaning} {code.next_step}" if code else None
