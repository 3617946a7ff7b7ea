"""The parts of docs/ that are written from declarations: `hatch run docs` renews them.

A part stands in its page between `<!-- NAME: written by hatch run docs -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":  # pytest puts it there
    sys.path.insert(0, str(Path(__file__).parents[1]))

from hatch_connect.commands import COMMANDS, Topic
from hatch_connect.local.api.routes import ABSENT, ROUTES
from hatch_connect.local.versions import ADDITIONS
from hatch_connect.options import SPECS, Section
from hatch_connect.project.content_kind import APP_MODES
from hatch_connect.project.declared import DECLARED
from hatch_connect.project.settings import KEYS, SETTINGS
from support import interface

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.routing import Route

    from hatch_connect.commands import Command
    from hatch_connect.local.versions import Addition
    from hatch_connect.options import OptionSpec
    from hatch_connect.project.settings import Setting

DOCS = Path(__file__).parents[2] / "docs"
PART = re.compile(r"(<!-- (\w+): written by hatch run docs -->\n).*?(<!-- end -->)", re.DOTALL)


def table(*rows: Iterable[str]) -> str:
    """Return a Markdown table; the first row is its head."""
    head, *others = ([interface.cell(text) for text in row] for row in rows)
    lines = [head, ["---"] * len(head), *others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def commands() -> str:
    return table(
        ("", "command", "what it does"),
        *(
            (
                topic.value if number == 0 else "",
                f"[`{called(command)}`](#{command.name})",
                command.help,
            )
            for topic in Topic
            for number, command in enumerate(c for c in COMMANDS.values() if c.topic is topic)
        ),
    )


def called(command: Command) -> str:
    positional = [
        f"[{spec.metavar}]{'...' if spec.repeatable else ''}"
        for spec in command.options
        if spec.positional or spec.key == command.positional
    ]
    return " ".join([command.name, *positional])


def options() -> str:
    return "\n\n".join(f"### {each.value}\n\n{options_of(each)}" for each in Section)


def options_of(section: Section) -> str:
    return table(
        ("option", "value", "meaning", "default", "setting", "taken by"),
        *(
            (
                code(spec.flags),
                value(spec),
                spec.help,
                spec.default or (f"`{spec.variable}`" if spec.variable else ""),
                f"`{spec.setting}`" if spec.setting in KEYS else "",
                takers(spec),
            )
            for spec in SPECS.values()
            if spec.section is section
        ),
    )


def value(spec: OptionSpec) -> str:
    if spec.kind.name == "FLAG":
        return ""
    return f"`{spec.metavar}`{', repeatable' if spec.repeatable else ''}"


def takers(spec: OptionSpec) -> str:
    names = [command.name for command in COMMANDS.values() if spec in command.options]
    return "all" if len(names) == len(COMMANDS) else code(names)


def settings(part: str) -> str:
    options = {spec.setting: spec.flags[0] for spec in SPECS.values()}
    return table(
        ("setting", "for example", "default", "meaning", "option", "may differ on one server"),
        *(
            (
                f"`{setting.key}`",
                f"`{setting.example}`",
                default(setting),
                setting.doc,
                f"`{options[setting.key]}`" if setting.key in options else "",
                "yes" if setting.on_server else "",
            )
            for setting in SETTINGS.values()
            if setting.part == part and not setting.call_only
        ),
    )


def default(setting: Setting) -> str:
    if setting.otherwise:
        return setting.otherwise
    match setting.default:
        case bool() as flag:
            return f"`{str(flag).lower()}`"
        case str() as text:
            return f'`"{text}"`'
        case ():
            return "none"
    return ""


def declared() -> str:
    return table(
        ("setting", "for example", "what it takes", "meaning", '`"default"`', "Connect's field"),
        *(
            (
                f"`{one.key}`",
                f"`{one.example}`",
                one.kind.value,
                one.doc,
                "yes" if one.nullable else "",
                f"`{one.name}`" if one.name else "",
            )
            for one in DECLARED.values()
        ),
    )


def modes() -> str:
    return table(
        ("`app-mode`", "short names", "content", "its entrypoint is", "needs one of"),
        *(
            (
                f"`{mode.name}`",
                code(mode.short_names),
                mode.title,
                mode.entrypoint.value,
                code(mode.frameworks),
            )
            for mode in APP_MODES
            if not mode.prepared
        ),
    )


def companions() -> str:
    named = ((mode, [each.format(stem="NAME") for each in mode.companions]) for mode in APP_MODES)
    return table(
        ("content", "beside its file", "at the bundle's root"),
        *(
            (
                f"{mode.title}{', if it is `main.py`' if mode.main_has_folder else ''}",
                code(beside),
                code(mode.companions_at_top),
            )
            for mode, beside in named
            if beside
        ),
    )


_ASKED = re.compile(r"^(?:`[^`]+`(?:, | or )?)+(?:[:;,] |\.(?: |$))")


def endpoints() -> str:
    routes = (route for route in ROUTES if not route.path.startswith("/__local__/"))
    told = [
        (_api_path(route.path), ", ".join(sorted((route.methods or set()) - {"HEAD"})), note(route))
        for route in routes
    ]
    return table(
        ("path", "method", "note"), *sorted(told, key=lambda row: (row[0].strip("`"), row))
    )


def note(route: Route) -> str:
    """Return what the docstring of an endpoint says after the requests that it answers."""
    endpoint = getattr(route.endpoint, "func", route.endpoint)  # of a partial
    text = " ".join((endpoint.__doc__ or "").partition("\n\n")[0].split())
    return _ASKED.sub("", text, count=1).removesuffix(".")


def absent() -> str:
    return table(
        ("path", "method"),
        *((_api_path(path), ", ".join(methods)) for path, methods in sorted(ABSENT.items())),
    )


def _api_path(path: str) -> str:
    return f"`{path.removeprefix('/').replace('{path:path}', '{path}')}`"


_BEHAVIOURS = {
    "environment management": "a manifest may turn off environment management",
    "include for one": "`include` in requests for a single piece of content; it is ignored before",
    "python requires": "`environment.python.requires` of a manifest; it is ignored before",
    "draft URL": "drafts can be visited; 2025.06 has drafts, and answers 500, so that"
    " `rsconnect deploy` needs `--no-verify` there, as on a real server",
    "several integrations": "content can have more than one OAuth integration",
    "bundle metadata": "uploads as a form, with metadata",
}


def releases() -> str:
    return table(
        ("release", "what came with it", "known from"),
        *(
            (f"{one.since.year}.{one.since.month:02}", _brought(one), one.source)
            for one in ADDITIONS
        ),
    )


def _brought(one: Addition) -> str:
    names, paths = code(one.names), ", ".join(map(_api_path, one.paths))
    match one.kind:
        case "path":
            return paths
        case "field":
            return f"{names} in requests to {paths}"
        case "answer":
            return f"{names} in answers of {paths}"
        case "include":
            return f"`include={one.names[0]}` in requests to {paths}"
        case "app mode":
            return f"content of the type {names}"
        case "behaviour":
            return ", ".join(_BEHAVIOURS[name] for name in one.names)


PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "commands": ("reference/commands.md", commands),
    "options": ("reference/commands.md", options),
    "declared": ("reference/settings.md", declared),
    "functions": ("reference/python.md", interface.functions),
    "function_options": ("reference/python.md", interface.options),
    "exceptions": ("reference/python.md", interface.errors),
    "values": ("reference/python.md", interface.values),
    "endpoints": ("reference/local-server.md", endpoints),
    "absent": ("reference/local-server.md", absent),
    "releases": ("reference/local-server.md", releases),
    "modes": ("reference/content-types.md", modes),
    "companions": ("explanation/which-files-ship.md", companions),
    **{
        f"settings_{setting.part}": ("reference/settings.md", partial(settings, setting.part))
        for setting in SETTINGS.values()
    },
}


def renewed(page: str) -> str:
    """Return the text of a page with its parts as they must be."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return PART.sub(lambda found: f"{found[1]}{PARTS[found[2]][1]()}\n{found[3]}", text)


if __name__ == "__main__":
    for changed in {page for page, _ in PARTS.values()}:
        (DOCS / changed).write_text(renewed(changed), encoding="utf-8", newline="\n")
