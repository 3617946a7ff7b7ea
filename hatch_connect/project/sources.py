"""What a project's Python files define and import, read without running them."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from hatch_connect.errors import BundleError
from hatch_connect.project.reading import encoding_of
from hatch_connect.project.walk import is_for_developers, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


_SHINY_MODE = re.compile(r"^#[ \t]*shiny_mode:[ \t]*(core|express)[ \t]*$", re.MULTILINE)
_SHINY_MODE_WITHIN = 1000  # characters in which Shiny itself looks for its magic comment
_ASSIGNED = (ast.Assign, ast.AnnAssign)
# A chunk of a document that Quarto runs: ```{python}, to the next fence.
_CHUNK = re.compile(r"^[ \t]*```+[ \t]*\{python\b[^\n]*\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"""\]\(<?([^)>\s]+)|\b(?:src|href)\s*=\s*["']?([^"'\s>]+)""")
# IPython's magics and shell commands, which are no Python.
_MAGIC = re.compile(r"^[ \t]*[%!].*$", re.MULTILINE)

# importlib accepts names that an import statement does not: `my-api`, `01_api`.
_MODULE = re.compile(r"\w[\w-]*(\.\w[\w-]*)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One Python file, its path as in the bundle: `src/` is no part of it.

    `objects` are the names that the module gives to what a call returned, each with what was
    called, spelled in full (`flask.app.Flask` or `flask.Flask`, as it was imported); `names` are
    all that it defines; `imports` is what it imports at its top level, spelled in full; `texts`
    are its string constants, some of which may name files.
    """

    path: str
    objects: tuple[tuple[str, str], ...]
    names: frozenset[str]
    imports: frozenset[str]
    texts: frozenset[str]
    express: bool

    @property
    def module(self) -> str:
        """The name by which Python imports it."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def importable(self) -> bool:
        """Whether a server can import it by that name."""
        return is_module(self.module) and "." not in self.path.removesuffix(".py")

    def uses(self, package: str) -> bool:
        """Return whether it imports a package, or something in it."""
        return any(name == package or name.startswith(f"{package}.") for name in self.imports)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """All modules that a source imports, and its texts that may be paths.

    An import is a tuple: the number of leading dots, the module, and the imported names.
    """

    imports: frozenset[tuple[int, str, tuple[str, ...]]] = frozenset()
    texts: frozenset[str] = frozenset()


def read_sources(root: Path) -> tuple[SourceFile, ...]:
    """Read the Python files that may be content: no tests, nothing that builds or configures."""
    found = []
    for path in walk(root):
        if not path.endswith(".py") or is_for_developers(path):
            continue
        if (source := read_source(root, path)) is not None:
            found.append(source)
    return tuple(found)


def read_source(root: Path, path: str) -> SourceFile | None:
    """Read one file; None if it cannot be read as Python."""
    try:
        data = (root / path).read_bytes()
        text = _decoded(data)
    except (OSError, SyntaxError, ValueError):
        return None
    if (tree := _parsed(data)) is None:
        return None
    shipped = path.removeprefix("src/")
    module = _ModuleReader(shipped)
    module.read(tree.body)
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return SourceFile(
        path=shipped,
        objects=tuple(module.objects.items()),
        names=frozenset(module.names),
        imports=frozenset(module.imports),
        texts=frozenset(value for value in constants if isinstance(value, str)),
        express=_is_express(text, module.imports),
    )


def _parsed(code: str | bytes) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as those of escapes in the user's strings
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return None


def require_readable(file: Path, called: str) -> None:
    """Refuse a Python file, notebook or document in an encoding that the server could not read."""
    data = file.read_bytes()
    python = called.endswith(".py")
    try:
        text = _decoded(data) if python else data.decode()
    except (SyntaxError, ValueError):
        text = "\0"
    if "\0" in text:
        names = " and does not declare a matching encoding" if python else ""
        raise BundleError(
            f"{called} is {encoding_of(data)}{names}: the server could not read it.",
            hint=f"Save {called} as UTF-8.",
        )


def _decoded(data: bytes) -> str:
    """Decode a source as Python does (PEP 263); raises SyntaxError or ValueError."""
    if b"\0" in data:
        raise ValueError("source code cannot contain null bytes")
    return data.decode(tokenize.detect_encoding(io.BytesIO(data).readline)[0])


def _is_express(text: str, imports: set[str]) -> bool:
    """Return whether it is Shiny Express, by Shiny's rule: a magic comment, else its import."""
    said = _SHINY_MODE.search(text[:_SHINY_MODE_WITHIN])
    return said[1] == "express" if said else "shiny.express" in imports


class _ModuleReader:
    """Reads the statements that importing a module runs."""

    def __init__(self, path: str) -> None:
        self.objects: dict[str, str] = {}
        self.names: set[str] = set()
        self.imports: set[str] = set()
        self._meaning: dict[str, str] = {}
        folders = path.split("/")[:-1]
        self._package = ".".join(folders)

    def read(self, statements: Iterable[ast.stmt]) -> None:
        """Read statements and the blocks in them that are run."""
        for statement in statements:
            self._read(statement)
            for block in _blocks(statement):
                self.read(block)

    def _read(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                self._import(alias.asname or alias.name.partition(".")[0], alias)
        elif isinstance(statement, ast.ImportFrom):
            self._import_from(statement)
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            self.names.add(statement.name)
        elif isinstance(statement, ast.ClassDef):
            self._class(statement)
        elif isinstance(statement, _ASSIGNED):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                self._assign(target, statement.value)
        elif isinstance(statement, ast.With | ast.AsyncWith):
            for item in statement.items:
                self._assign(item.optional_vars, item.context_expr)

    def _import(self, name: str, alias: ast.alias) -> None:
        self.imports.add(alias.name)
        self._meaning[name] = alias.name if alias.asname else name

    def _import_from(self, statement: ast.ImportFrom) -> None:
        module = self._absolute(statement)
        self.imports.add(module)
        for alias in statement.names:
            full = f"{module}.{alias.name}"
            self.imports.add(full)
            self.names.add(alias.asname or alias.name)
            self._meaning[alias.asname or alias.name] = full

    def _absolute(self, statement: ast.ImportFrom) -> str:
        module = statement.module or ""
        if not statement.level:
            return module
        parts = self._package.split(".")
        above = parts[: len(parts) - statement.level + 1]
        return ".".join((*above, module)).strip(".")

    def _class(self, statement: ast.ClassDef) -> None:
        """Treat a class of the module as the first of its bases that was imported."""
        bases = (self._spelled(base) for base in statement.bases)
        self.names.add(statement.name)
        self._meaning[statement.name] = next((base for base in bases if "." in base), "")

    def _assign(self, target: ast.expr | None, value: ast.expr | None) -> None:
        if not isinstance(target, ast.Name) or value is None:
            return
        self.names.add(target.id)
        self.objects.pop(target.id, None)
        if isinstance(value, ast.Call) and (called := self._spelled(value.func)):
            self.objects[target.id] = called

    def _spelled(self, expression: ast.expr) -> str:
        """Return a dotted name in full; "" for any other expression."""
        if isinstance(expression, ast.Name):
            return self._meaning.get(expression.id, expression.id)
        if isinstance(expression, ast.Attribute):
            owner = self._spelled(expression.value)
            return f"{owner}.{expression.attr}" if owner else ""
        return ""


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    if isinstance(statement, ast.If):
        if not _is_main_guard(statement.test):
            yield statement.body
        yield statement.orelse
    elif isinstance(statement, ast.Try):
        yield statement.body
        for handler in statement.handlers:
            yield handler.body
        yield statement.orelse
        yield statement.finalbody
    elif isinstance(statement, ast.With | ast.AsyncWith):
        yield statement.body


def _is_main_guard(test: ast.expr) -> bool:
    """Return whether it tests `__name__ == "__main__"`: a server imports the module instead."""
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == "__name__"
    )


def read_names(file: Path) -> Names:
    """Read Python, a notebook, a document or HTML; a file that cannot be read names nothing."""
    try:
        data = file.read_bytes()
    except OSError:
        return Names()
    code, prose = _parts(file.suffix.lower(), data)
    imports: set[tuple[int, str, tuple[str, ...]]] = set()
    texts = {unquote(link[1] or link[2]).partition("#")[0] for link in _LINK.finditer(prose)}
    for each in code:
        tree = _parsed(each)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Import):
                imports |= {(0, alias.name, ()) for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = tuple(alias.name for alias in node.names)
                imports.add((node.level, node.module or "", names))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
    return Names(imports=frozenset(imports), texts=frozenset(texts))


def _parts(suffix: str, data: bytes) -> tuple[list[str | bytes], str]:
    """Return the Python code of a file, and its other text."""
    if suffix == ".py":
        return [data], ""
    text = data.decode("utf-8", "replace")
    if suffix == ".ipynb":
        return _cells(text)
    return [*_CHUNK.findall(text)], text


def _cells(text: str) -> tuple[list[str | bytes], str]:
    code: list[str | bytes] = []
    prose = []
    try:
        for cell in json.loads(text)["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "code":
                code.append(_MAGIC.sub("", source))
            else:
                prose.append(source)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return code, "\n".join(prose)


def is_module(name: str) -> bool:
    """Return whether importlib takes a name for that of a module."""
    return _MODULE.fullmatch(name) is not None
