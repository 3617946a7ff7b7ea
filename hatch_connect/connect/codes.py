"""Connect's own error codes, and what to do about each."""

from __future__ import annotations

import enum
from typing import Self

_ASK = "Ask the content's owner or an administrator for the right to."
_ANOTHER = "Deploy with --new, or to other content with --app-id."
_LICENCE = "Ask the server's administrator, or deploy to another server."
_POLICY = "Ask the server's administrator what is allowed there."
_LOWER = "Set a lower one, or ask the server's administrator for more."
_AGAIN = "Try again; if it stays so, ask the server's administrator to look into its log."

_NOT_FOUND = 404
_ALWAYS_THERE = {"server_settings", "v1/user"}  # paths that every version of Connect has


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

    INTERNAL_FAILURE = 1, "The server failed.", _AGAIN
    BAD_REQUEST = 2, "The server did not understand the request.", "Is its version supported?"
    INVALID_ID = (
        3,
        "The server knows no such form of an id.",
        "Check the GUID or number of the content or the bundle.",
    )
    OBJECT_DOES_NOT_EXIST = (
        4,
        "It is gone, or this API key may not see it.",
        "Name other content with --app-id, or make new content with --new.",
    )
    INVALID_APPLICATION_NAME = (
        5,
        "The server does not take the content's name.",
        "Set `content-name` in [tool.hatch-connect]: 3 to 64 letters, digits, `-` and `_`.",
    )
    NOT_OBJECT_OWNER = 10, "Only the content's owner may do that.", _ASK
    PARAMETER_MISSING = 12, "The request lacks something.", "Is the server's version supported?"
    NO_VIEW_PERMISSION = 19, "This API key may not see that.", _ASK
    NO_REMOVE_PERMISSION = 20, "This API key may not remove that.", _ASK
    NO_UPDATE_PERMISSION = (
        21,
        "This API key has no permission to change that content.",
        "Have its owner or an administrator make you a collaborator, or deploy with --new.",
    )
    PERMISSION_DENIED = (
        22,
        "This API key may not do that.",
        "Ask the content's owner or an administrator; to deploy takes the role of a publisher.",
    )
    AUTH_REQUIRED = (
        24,
        "The server wants an API key.",
        "Store one with `hatch-connect add`, or set CONNECT_API_KEY.",
    )
    INVALID_PARAMETER = 25, "The server does not take a value that was sent.", _POLICY
    DUPLICATE_NAME = (
        26,
        "Content of that name is there already.",
        "Deploy to it with --app-id, or set another `content-name`.",
    )
    BUNDLE_MISSING = (
        28,
        "The server has lost the bundle's file.",
        "Deploy again, or go back to another bundle; `hatch-connect versions` lists them.",
    )
    TOKEN_EXPIRED = (
        29,
        "The key has expired.",
        "Make another in the dashboard and store it with `hatch-connect add`.",
    )
    INVALID_LOGIN = (
        30,
        "The API key is not valid on this server.",
        "Make another in the dashboard and store it with `hatch-connect add`.",
    )
    INVALID_COLLABORATOR = (
        33,
        "That account may view content only.",
        "Name it in `viewers`, or ask an administrator to make it a publisher.",
    )
    INVALID_COLLABORATOR_OWNER = (
        34,
        "That is the content's owner, who may do everything.",
        "Leave the name out of `viewers` and `collaborators`.",
    )
    INVALID_MANIFEST = (
        38,
        "The server does not understand the bundle's manifest.json.",
        "`hatch-connect manifest` writes one; one made elsewhere may be for a newer server.",
    )
    USER_NOT_CONFIRMED = (
        40,
        "The account of this API key is not confirmed yet.",
        "Confirm it by the e-mail that the server sent, or ask an administrator.",
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
        "Ask an administrator of the server to unlock it.",
    )
    VANITY_PATH_IN_USE = (
        51,
        "Other content has that path, or one above or below it.",
        "Set another `vanity-path`.",
    )
    PROHIBITED_VANITY_PATH = 52, "The server keeps that path for itself.", "Set another."
    IMMUTABLE_FIELDS = (
        53,
        "The server does not let a field be changed.",
        "Leave out the option or setting that changes it.",
    )
    RUN_AS_CURRENT_PROHIBITED = 54, "Content may not run as its visitor here.", _POLICY
    RUN_AS_NON_EXECUTABLE_PROHIBITED = 55, "Such content does not run.", "Leave out `run-as`."
    RUN_AS_USER_PROHIBITED = 56, "Content may not run as that user.", _POLICY
    RUN_AS_USER_NOT_FOUND = 57, "The server has no such user to run content.", _POLICY
    RUN_AS_GROUP_MEMBERSHIP = 58, "That user is not in the group that runs content.", _POLICY
    API_NOT_LICENSED = 65, "The server's licence does not cover APIs.", _LICENCE
    BUNDLE_ID_MISMATCH = 69, "That is not the bundle which is deployed.", "Deploy again."
    DELETE_ACTIVE_BUNDLE = (
        75,
        "The active bundle cannot be removed.",
        "Activate another first: hatch-connect rollback BUNDLE",
    )
    NO_CATEGORY_APP_ASSIGNMENT = (
        79,
        "That is a category of tags, which content cannot have.",
        "Name a tag below it, as in `Category/Tag`.",
    )
    FOREIGN_BUNDLE = (
        82,
        "The bundle belongs to other content.",
        "Upload it to this content: hatch-connect deploy FILE",
    )
    CANNOT_PARSE_REQUEST_BODY = (
        87,
        "The server did not understand the request.",
        "Is its version supported?",
    )
    IN_RESTRICTED_ACCESS_MODE = (
        99,
        "The server lets only administrators in, as when its licence has run out.",
        _LICENCE,
    )
    QUEUE_ITEM_IN_PROGRESS = (
        100,
        "The server is still at work on this content.",
        "Try again when that is done.",
    )
    CONTENT_CHECKSUM = (
        104,
        "The bundle was changed on its way.",
        "Try again; a proxy in between may be the reason.",
    )
    TENSORFLOW_NOT_LICENSED = 105, "The server's licence does not cover TensorFlow.", _LICENCE
    ENVIRONMENT_VERSION_MISMATCH = (
        106,
        "The server has no such version of Python.",
        "`hatch-connect details` lists what it has; ask for one with --python-version.",
    )
    PROHIBITED_ENVIRONMENT = (
        108,
        "The server does not let content run in that environment.",
        "`hatch-connect details` lists the images; name another with `image`, or none.",
    )
    PROHIBITED_APP_MODE = 109, "The server does not allow this type of content.", _LICENCE
    CONTENT_CATEGORY_CHANGED = (
        110,
        "The category of content (a site, a plot, none) cannot be changed.",
        _ANOTHER,
    )
    HAS_PARAMETERS_CHANGED = (
        111,
        "Content with parameters and content without cannot take each other's bundles.",
        _ANOTHER,
    )
    MAX_PROCESSES_OVER_LIMIT = 113, "`max-processes` is above the server's limit.", _LOWER
    MIN_PROCESSES_OVER_MAX_PROCESSES = (
        114,
        "`min-processes` is above `max-processes`, or above the server's default for it.",
        "Set both.",
    )
    UNKNOWN_ACCESS_TYPE = 117, "The server does not know that access.", _POLICY
    PROHIBITED_ACCESS_TYPE = 118, "The server does not allow that access.", _POLICY
    INVALID_JSON = (
        121,
        "This server is older and does not know a field that was sent.",
        "Leave out the option that needs it.",
    )
    INVALID_APPLICATION_TITLE = (
        122,
        "The server does not take the title.",
        "Set `title` or --title to 3 to 1,024 characters.",
    )
    INVALID_APPLICATION_DESCRIPTION = (
        123,
        "The server does not take the description.",
        "Make it shorter.",
    )
    INVALID_CONTENT_LENGTH = (
        125,
        "The upload was empty, or not as long as it said.",
        "Look at what ships with --list, and try again.",
    )
    BYTES_WRITTEN_MISMATCH = (
        126,
        "The server did not store the whole upload.",
        "Try again; its disk may be full: tell its administrator.",
    )
    BUNDLE_WRITE = (
        134,
        "The server could not store the bundle.",
        "Its disk may be full: tell its administrator.",
    )
    BUNDLE_EXTRACT = (
        135,
        "The server could not unpack the bundle.",
        "Is the file that was deployed a tar archive with gzip? Else tell its administrator.",
    )
    TASK_DOES_NOT_EXIST = (
        141,
        "The server does not know the task; a load balancer may have asked another server.",
        "Look at the content's logs, and ask the administrator for sticky sessions.",
    )
    APP_IS_GIT_MANAGED = (
        142,
        "The server itself fetches this content from a git repository.",
        "Push there, or deploy with --new.",
    )
    NO_BUNDLE_UPLOAD_FOR_GIT_MANAGED_APP = (
        144,
        "The server itself fetches this content from a git repository.",
        "Push there, or deploy with --new.",
    )
    APP_MODE_IS_NOT_EXECUTABLE = 147, "Content of this type has nothing to run.", _ANOTHER
    INVALID_APP_MODE = (
        148,
        "The server does not know this type of content.",
        "Is its version new enough for `app-mode`? `hatch-connect details` tells it.",
    )
    DUPLICATE_ENVIRONMENT_VARIABLE = (
        149,
        "A variable was named twice.",
        "Name it once; upper and lower case may count as one.",
    )
    INVALID_LOAD_FACTOR = 150, "The load factor does not fit.", "It is from 0 to 1."
    INVALID_TIMEOUT = 151, "A time-out does not fit.", "They are seconds, 0 or more."
    INVALID_INCLUDE = 161, "The server does not know what to include.", "Is it an older one?"
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
        "`hatch-connect details` lists the images; name one of them with `image`, or none.",
    )
    INVALID_SERVICE_ACCOUNT_CONFIGURATION = 195, "Content has no service account here.", _POLICY
    AMD_GPU_LIMIT_OVER_LIMIT = 197, "`amd-gpu-limit` is above the server's limit.", _LOWER
    NVIDIA_GPU_LIMIT_OVER_LIMIT = 199, "`nvidia-gpu-limit` is above the server's limit.", _LOWER
    INVALID_OAUTH_INTEGRATION_GUID = (
        207,
        "The server has no such OAuth integration.",
        "Look it up in the dashboard, and set `integrations`.",
    )
    OAUTH_INTEGRATIONS_NOT_LICENSED = (
        221,
        "The server's licence does not cover OAuth integrations.",
        _LICENCE,
    )
    LOCKED_CONTENT_BUNDLE = (
        222,
        "The content is locked.",
        "Have it unlocked in the dashboard, in the content's settings.",
    )
    LOCKED_CONTENT_PROCESS = (
        223,
        "The content is locked and does not run.",
        "Have it unlocked in the dashboard, in the content's settings.",
    )
    INVALID_MAX_CONNS_PER_PROCESS = (
        239,
        "`max-connections-per-process` does not fit.",
        "It is 1 or more, up to the server's limit.",
    )
    PUBLIC_ACCESS_NOT_LICENSED = 260, "The server's licence covers no public access.", _LICENCE
    EMPTY_ENVIRONMENT_VARIABLE_NAME = 266, "A variable has no name.", "Look at `env` and -E."
    NODE_JS_NOT_LICENSED = 270, "The server's licence does not cover Node.js.", _LICENCE
    NODE_JS_NOT_ENABLED = 271, "Node.js is not enabled on this server.", _LICENCE
    MAX_PROCESSES_ZERO = 272, "Without processes, content cannot run.", "Set 1 or more."
    PUBLISHERS_CANNOT_UPLOAD_BUNDLES = (
        274,
        "This server lets only administrators upload bundles.",
        "Ask an administrator to deploy, or to allow it.",
    )
    OAUTH_CREDENTIAL_ID_TOKEN_VERIFICATION = (
        275,
        "The server does not accept the identity token.",
        "Ask the administrator which issuer and which subject are trusted.",
    )
    OAUTH_MISSING_ID_TOKEN = (
        276,
        "The identity token is missing.",
        "Let the CI job have one: its permissions decide.",
    )
    RATE_LIMIT_EXCEEDED = 277, "The server is asked too often.", "Try again later."
    BUNDLE_FILE_NOT_FOUND = 278, "The bundle holds no such file.", "Check its path."


# By HTTP status, for answers without a code of Connect's.
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


def next_step(path: str, status: int, number: int | None) -> str | None:
    """Return what a refusal of a request to `path` means and what to do, as far as it is known."""
    if status == _NOT_FOUND and path in _ALWAYS_THERE:
        return _BY_STATUS[status]
    if number is None:
        return _BY_STATUS.get(status)
    code = next((code for code in Code if code == number), None)
    # For a code that is not listed here, the HTTP status would be no reliable guide.
    return f"{code.meaning} {code.next_step}" if code else None
