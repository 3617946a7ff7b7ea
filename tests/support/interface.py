"""The interface for programs as tables of docs/: see `reference`."""

from __future__ import annotations

import dataclasses
import inspect
import re
from types import FunctionType
from typing import TYPE_CHECKING, Any

from hatch_connect import api
from hatch_connect.errors import HatchConnectError

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNPACKED = re.compile(r"Unpack\[(\w+)\]")


def cell(text: str) -> str:
    """Return a text for a table: there is no way to write `|` as code that all programs read."""
    code = re.sub(r"`([^`]*\|[^`]*)`", r"<code>\1</code>", text)
    return code.replace("|", "&#124;")


def functions() -> str:
    """Return each function with its signature and what it does."""
    return "\n\n".join(
        f"### {one.__name__}\n\n{_signature(one)}\n\n{_text(one)}" for one in _functions()
    )


def options() -> str:
    """Return the keyword arguments that several functions take as `**options`."""
    rows: dict[str, tuple[str, list[str]]] = {}
    for function in _functions():
        named = _UNPACKED.fullmatch(str(function.__annotations__.get("options")))
        hints = getattr(api, named[1]).__annotations__ if named else {}
        for name, hint in hints.items():
            rows.setdefault(name, (_hint(hint), []))[1].append(f"`{function.__name__}`")
    lines = [f"| `{name}` | {kind} | {', '.join(by)} |" for name, (kind, by) in rows.items()]
    return "\n".join(["| argument | type | taken by |", "| --- | --- | --- |", *lines])


def values() -> str:
    """Return each class whose objects a function takes or returns."""
    parts = []
    for value in _named():
        if not inspect.isclass(value) or issubclass(value, HatchConnectError):
            continue
        lines = [f"### {value.__name__}", "", _text(value), ""]
        if dataclasses.is_dataclass(value):
            lines += ["| field | type |", "| --- | --- |"]
            lines += [f"| `{one.name}` | {_hint(one.type)} |" for one in dataclasses.fields(value)]
            lines.append("")
        if members := list(_members(value)):
            lines += ["| member | what it does |", "| --- | --- |", *members, ""]
        parts.append("\n".join(lines).rstrip())
    return "\n\n".join(parts)


def errors() -> str:
    """Return the exceptions, each below what it is a kind of."""

    def rows(error: type[HatchConnectError], above: str) -> Iterator[str]:
        summary = _text(error).partition("\n\n")[0]
        yield f"| `{error.__name__}` | {above} | {error.exit_code} | {summary} |"
        for kind in error.__subclasses__():
            if kind.__name__ in api.__all__:
                yield from rows(kind, f"`{error.__name__}`")

    head = ["| exception | a kind of | exit code | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows(HatchConnectError, "")])


def _functions() -> list[FunctionType]:
    return [value for value in _named() if isinstance(value, FunctionType)]


def _named() -> Iterator[Any]:
    return (getattr(api, name) for name in api.__all__)


def _signature(function: FunctionType) -> str:
    lines, marked = [], False
    for one in inspect.signature(function).parameters.values():
        if one.kind is one.KEYWORD_ONLY and not marked:
            lines.append("*,")
            marked = True
        if one.kind is one.VAR_KEYWORD:
            lines.append("**options,")
            continue
        default = getattr(one.default, "__name__", repr(one.default))
        given = "" if one.default is one.empty else f" = {default}"
        lines.append(f"{one.name}: {one.annotation}{given},")
    body = "".join(f"    {line}\n" for line in lines)
    returned = function.__annotations__["return"]
    return f"```python\n{function.__name__}(\n{body}) -> {returned}\n```"


def _members(value: type) -> Iterator[str]:
    for name, member in vars(value).items():
        if name.startswith("_") or name == "from_answer" or not (text := _text(member)):
            continue
        if isinstance(member, property):
            yield f"| `{name}` | {text.partition(chr(10))[0]} |"
        elif inspect.isfunction(member) or isinstance(member, classmethod | staticmethod):
            taken = [
                one for one in inspect.signature(getattr(value, name)).parameters if one != "self"
            ]
            yield f"| `{name}({', '.join(taken)})` | {text.partition(chr(10))[0]} |"


def _text(value: object) -> str:
    """Return a docstring; that of a dataclass without one is its signature, which is none."""
    text = inspect.cleandoc(getattr(value, "__doc__", None) or "")
    return "" if text.startswith(f"{getattr(value, '__name__', '?')}(") else text


def _hint(hint: object) -> str:
    text = getattr(hint, "__forward_arg__", hint if isinstance(hint, str) else str(hint))
    return cell(f"`{text}`")
