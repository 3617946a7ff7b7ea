"""`doctor`: check everything that a deployment needs, and change nothing.

Each check is the one that `deploy` makes. One that fails does not end the others; what depends on
it is skipped, and says so.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from math import ceil
from operator import methodcaller
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hatch_connect.commands.ask import ask_server, variables_of
from hatch_connect.commands.build import build_content, build_request
from hatch_connect.commands.checks import Checks, Finding, Remark
from hatch_connect.commands.declared import with_settings
from hatch_connect.commands.result import Result
from hatch_connect.commands.server import chosen_server, client_of, settings_of, who
from hatch_connect.commands.source import source_of, warn_of_other_repository
from hatch_connect.commands.trial import Trial
from hatch_connect.connect.resolve_server import NoKeyError
from hatch_connect.connect.resources import Feature
from hatch_connect.connect.servers import is_local
from hatch_connect.errors import (
    ContentError,
    HatchConnectError,
    NoProjectError,
    NoServerError,
    ServerError,
    UnreachableError,
    counted,
    shortened,
)
from hatch_connect.ship.declared import shown
from hatch_connect.ship.request import CHECKS, check_role

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hatch_connect.bundle.build_protocol import BuildRequest, Built, Form
    from hatch_connect.commands.ask import Asked
    from hatch_connect.commands.call import Call
    from hatch_connect.commands.source import Source
    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.content_settings import Scalar, ServerLimits
    from hatch_connect.connect.resources import (
        ExecutionEnvironment,
        PythonInstallation,
        ServerSettings,
        User,
    )
    from hatch_connect.connect.servers import Server
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.python_version import PythonTarget
    from hatch_connect.ship.variables import Variables

_GUARD = "guard: "  # how the rules that hold back secrets begin
_SOON = 30  # days before a licence expires
_NAMED = 5
_NEEDS_KEY = ("user", "limits", "licence", "python", "images")
_OF_CONTENT = ("lock", "files", "secrets", "content")
_PARTS = ("allow-apis", "current-user-execution", "oauth-integrations", "public-access")
_YES = (True, "true", "1")


def run_doctor(call: Call) -> Result:
    """Check the server, the project, and what the one has of the other; either may be missing."""
    call = replace(call, options=replace(call.options, dry_run=True))
    findings: list[Finding] = []
    usable: dict[str, Server | None] = {}  # by URL: None if no content can be looked for there
    with ExitStack() as stack:
        configs = _configs(Checks(call=call, area="project", findings=findings))
        for config in configs or (None,):
            checks = Checks(call=call, area="server", findings=findings)
            server, no_key = _server(checks, config, stack, alone=not findings)
            if server and server.url not in usable:
                able = _check_server(checks, server, no_key)
                usable[server.url] = server if able else None
            if config:
                own = replace(checks, area="project", content=config.content)
                _check_content(own, config, usable.get(server.url) if server else None)
    return _result(findings, next(iter(usable), None))


def _result(findings: Iterable[Finding], url: str | None) -> Result:
    contents = list(dict.fromkeys(each.content for each in findings))
    findings = sorted(
        findings, key=lambda each: (each.area != "server", contents.index(each.content))
    )
    width = max(len(each.check) for each in findings)
    lines: list[str] = []
    for each in findings:
        heading = " ".join(filter(None, (each.area.title(), each.content)))
        lines += () if heading in lines else (heading,)
        lines += each.lines(width)
    many = Counter(each.state for each in findings)
    warnings = counted(many["warning"], "warning")
    plain = [{k: v for k, v in asdict(each).items() if k != "exit_code"} for each in findings]
    return Result(
        lines=(*lines, f"{many['ok']} ok, {warnings}, {many['failed']} failed."),
        facts={"ok": not many["failed"], "server": url, "checks": plain},
        exit_code=next((each.exit_code for each in findings if each.exit_code), 0),
        checked=True,
    )


def _server(
    checks: Checks, config: ProjectConfig | None, stack: ExitStack, *, alone: bool
) -> tuple[Server | None, NoKeyError | None]:
    """Return the server, None if none is known, and what is missing if there is no key for it.

    If it is checked `alone`, there must be one.
    """
    no_key = None
    with checks.listening("server") as call:
        try:
            server = stack.enter_context(chosen_server(call, config))
        except NoKeyError as error:
            server, no_key = error.server, error
        except NoServerError as error:
            if alone:
                checks.failed("server", error)
            else:
                checks.note("server", "skipped", Remark(error.message, error.hint))
            return None, None
        except HatchConnectError as error:
            checks.failed("server", error)
            return None, None
        checks.note("server", "ok", f"{server.url} ({server.source})")
    return server, no_key


def _check_server(checks: Checks, server: Server, no_key: NoKeyError | None) -> bool:
    """Check what needs no key, then what does; return whether content can be looked for."""
    with checks.listening("tls") as call:
        try:
            client = client_of(server, call)
        except HatchConnectError as error:  # of certificates, which are read first
            checks.failed("tls", error)
            checks.skipped("see tls", "reachable", "version", *_NEEDS_KEY)
            return False
        able = _check_connection(checks, client)
    if no_key:
        checks.failed("user", no_key)
        checks.skipped("there is no API key", *_NEEDS_KEY[1:])
        return False
    if not able:
        checks.skipped("the server cannot be reached", *_NEEDS_KEY)
        return False
    user = checks.look("user", lambda _: _user(client), lambda user: _who(user, server))
    if user is None:
        checks.skipped("see user", *_NEEDS_KEY[1:])
        return False
    limits = checks.look(
        "limits",
        lambda _: client.settings.limits("python-api", access=True, settings=True),
        _limits,
    )
    if limits:
        checks.look("licence", lambda _: limits.settings, _licence)
    checks.look("python", lambda _: client.python_installations(), _pythons)
    checks.look("images", lambda _: client.environments(), _images)
    return True


def _check_connection(checks: Checks, client: ConnectClient) -> bool:
    """Check how the server is reached, and its version, by one request."""
    blamed, version = "", None
    failure: HatchConnectError | None = None
    try:
        version = settings_of(client, checks.call)
    except ServerError as error:
        cause = error.because_of if isinstance(error, UnreachableError) else ""
        blamed, failure = cause or "reachable", error
    except HatchConnectError as error:  # CONNECT_SERVER_VERSION
        blamed, failure = "version", error
    said = {
        "proxy": f"through {client.proxy}" if client.proxy else "none",
        "tls": _tls(client.server),
        "reachable": "It answers.",
    }
    for check, text in said.items():
        if failure and check == blamed:
            checks.failed(check, failure)
        elif failure and blamed != "version" and check != "proxy":
            checks.skipped(f"see {blamed}", check)
        elif text:
            checks.note(check, "ok", text)
    if version:
        said_of = _version(version)
        checks.note("version", "warning" if isinstance(said_of, Remark) else "ok", said_of)
    elif failure and blamed == "version":
        checks.failed("version", failure)
    else:
        checks.skipped(f"see {blamed}", "version")
    return failure is None


def _tls(server: Server) -> str:
    """Return what is said if the server is reached; "" if there is a warning."""
    if server.insecure:
        return ""
    if server.url.startswith("http://"):
        return "none: the server is on this machine" if is_local(server.url) else ""
    return "accepted, by your own certificate" if server.ca_cert else "accepted"


def _version(settings: ServerSettings) -> str | Remark:
    if not settings.version:
        hint = "Set CONNECT_SERVER_VERSION if you know it, such as 2025.06.0."
        return Remark("The server hides its version: its features are tried as needed.", hint)
    if settings.supports(Feature.DRAFT_URL):
        return settings.version
    since = "Connect 2025.07 and later show a draft before it is active"
    return f"{settings.version} (a bundle is verified once it is active: {since})"


def _user(client: ConnectClient) -> tuple[User | None]:
    user = client.user()
    check_role(user.role if user else "")
    return (user,)


def _who(found: tuple[User | None], server: Server) -> str:
    source = server.credential.source if server.credential else "nowhere"
    return f"{who(found[0], server)}, identity from {source}"


def _licence(told: Mapping[str, Scalar]) -> str | Remark:
    """Return what is said of the licence; raises ContentError if it has expired."""
    status, left = str(told.get("status") or ""), _number(told.get("days-left"))
    if status == "expired" or (left is not None and left <= 0 and "expiration" in told):
        raise ContentError(
            "The server's licence has expired: it may refuse to run content.",
            hint="Ask the server's administrator to renew it.",
        )
    if left is not None and 0 < left <= _SOON:
        return Remark(
            f"It expires in {counted(ceil(left), 'day')}.", "Tell the server's administrator."
        )
    covered = sorted(name for name, value in told.items() if name in _PARTS and value in _YES)
    text = status or ("includes" if covered else "not available")
    return f"{text}: {', '.join(covered)}" if covered else text


def _number(value: object) -> float | None:
    with suppress(ValueError, TypeError):
        return float(value)  # type: ignore[arg-type] # some servers tell it as a text
    return None


def _pythons(found: tuple[PythonInstallation, ...] | None) -> str | Remark:
    if found is None:
        return "not available"
    versions = [each.version for each in found if each.publishable]
    if not versions:
        return Remark("It does not accept new Python content.", "Ask the server's administrator.")
    return ", ".join(dict.fromkeys(versions))


def _images(found: tuple[ExecutionEnvironment, ...] | None) -> str:
    named = [f"{each.name} (Python {', '.join(each.pythons) or 'none'})" for each in found or ()]
    return shortened(named, _NAMED) if named else "none"


def _limits(limits: ServerLimits) -> str:
    told = {name: value for name, value in limits.scheduler.items() if value}
    of_size = [
        f"{name} {shown(name.removeprefix('max_'), value)}"
        for name, value in told.items()
        if name.startswith("max_") and name != "max_processes"
    ]
    access = f"access: {', '.join(limits.access_types)}" if limits.access_types else ""
    return "; ".join(filter(None, (", ".join(of_size), access))) or "not available"


def _configs(checks: Checks) -> tuple[ProjectConfig, ...]:
    """Return each piece of content whose configuration can be read; none without a project."""
    try:
        project = checks.call.read_project()
    except NoProjectError as error:
        if checks.call.options.directory:
            checks.failed("configuration", error)
        return ()
    except HatchConnectError as error:
        checks.failed("configuration", error)
        return ()
    configs = []
    for name in checks.call.options.content or project.contents:
        own = replace(checks, content=name)
        if config := own.look("configuration", methodcaller("config", name), _kind):
            configs.append(config)
        else:
            own.skipped("see configuration", *_OF_CONTENT)
    return tuple(configs)


def _kind(config: ProjectConfig) -> str:
    entrypoint = config.rendered or config.entrypoint
    named = f", entrypoint {entrypoint}" if entrypoint else ""
    return f"{config.content_name} is {config.app_mode.name}{named}"


def _check_content(checks: Checks, config: ProjectConfig, server: Server | None) -> None:
    """Check one piece of content, then what its server has of it."""
    source = source_of(config, checks.call)
    source = source.on(server) if server else source
    request = checks.look("lock", lambda call: build_request(config, call), _lock)
    variables = checks.look("variables", lambda call: variables_of(source, call), _variables)
    hidden = (*(variables.hidden if variables else ()), *(server.secrets if server else ()))
    with checks.call.masking(hidden) as masked:
        masking = replace(checks, call=masked)
        if request is None:
            masking.skipped("see lock", "files", "secrets")
        else:
            _check_files(masking, request, variables)
        if server is None or variables is None:
            masking.skipped("see variables" if server else "no server is known", "content")
            return
        asked = masking.look(
            "content",
            lambda call: ask_server(source, server, variables, request, call),
            lambda asked: _located(asked, source),
        )
        if asked:
            _check_asked(masking, asked, source)


def _variables(variables: Variables) -> str:
    relied_on = (
        f", {len(variables.relied_on)} set only on the server" if variables.relied_on else ""
    )
    return f"{len(variables.values)} to set{relied_on}" if variables.values or relied_on else "none"


def _lock(request: BuildRequest) -> str | Remark:
    packages = request.packages
    if packages is None:
        return "no packages, unless the build needs some"
    pinned = counted(len(packages.lock.pins), "package")
    said = f"{packages.lock.called}, {pinned if packages.lock.verbatim is None else 'as written'}"
    if packages.lock.path is None:
        return Remark(f"Nothing is locked: what is installed would ship ({said}).", "uv lock")
    if packages.lock.notes:
        return Remark("\n".join((said, *packages.lock.notes)))
    return said


def _python(python: PythonTarget) -> str | Remark:
    said = f"{python.asked}: {python.because}"
    if python.is_stated:
        return said
    return Remark(
        said, f'Set it in the project: `python-version = "{python.minor}"`, or .python-version.'
    )


def _check_files(checks: Checks, request: BuildRequest, variables: Variables | None) -> None:
    """Check the Python and the files; nothing is written into the project."""
    if request.packages:
        stated = _python(request.packages.python)
        checks.note("python", "warning" if isinstance(stated, Remark) else "ok", stated)
    trial = checks.call.options.import_entrypoint
    with TemporaryDirectory(prefix="hatch-connect-") as folder:
        place = Path(folder)
        form: Form = "folder" if trial else "manifest"
        asked = replace(request, form=form, directory=place / "bundle")
        built = checks.look("files", lambda call: build_content(asked, call), _files)
        if built is None:
            checks.skipped("see files", "secrets", *(("import",) if trial else ()))
            return
        held = [left for left in built.left_out if left.rule.startswith(_GUARD)]
        named = [f"{each.path} ({each.rule.removeprefix(_GUARD)})" for each in held]
        text = f"held back: {shortened(named, _NAMED)}" if named else "none found"
        checks.note("secrets", "ok", text)
        if trial:
            values = variables.values if variables else {}
            attempt = Trial(
                config=request.config,
                built=built,
                folder=place,
                environ={**checks.call.environ, **{n: v.reveal() for n, v in values.items() if v}},
                interpreter=checks.call.surroundings.interpreter,
                report=checks.call.report,
            )
            checks.look("import", lambda _: attempt.run(), str)


def _files(built: Built) -> str:
    sizes = built.contents.sizes
    size = sum(size for _, size in sizes)
    said = f"{counted(len(sizes), 'file')}, {size:,} bytes"
    if len(sizes) <= 1:
        return said
    path, most = max(sizes, key=lambda each: each[1])
    return f"{said} (the largest: {path}, {most:,})"


def _located(asked: Asked, source: Source) -> str | Remark:
    located, config = asked.found.located, source.config
    if located.content is None:
        return f"{source.name} would be new: {located.because}"
    guid = located.content.guid
    said = f"{guid}: {located.because}"
    if config and config.guid and config.guid.lower() != guid:
        return Remark(
            f"{said}\n`guid` in pyproject.toml is {config.guid}, and is ignored.",
            "Correct `guid`, or choose the content with --app-id.",
        )
    return said


def _check_asked(checks: Checks, asked: Asked, source: Source) -> None:
    """Make the checks of a deployment, each on its own."""
    wanted, found = asked.wanted, asked.found
    for name, check in CHECKS.items():
        try:
            check(wanted, found)
        except HatchConnectError as error:
            checks.failed(name, error)
    with checks.listening("content") as call:
        warn_of_other_repository(source, found.located, found.last, call)
    if source.config and source.config.declared:
        checks.look(
            "settings",
            lambda call: with_settings(source, asked.client, wanted, found, asked.user, call),
            lambda found: f"{len(found.declared.changes)} to change",
        )
