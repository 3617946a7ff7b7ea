"""Who may import whom: the table of docs/explanation/architecture.md, kept by reading imports."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
BASE = {"errors", "events", "programs", "secret", "typed"}
ENTRIES = {"cli", "plugin", "invoke_tasks", "api"}
OUTSIDE = ENTRIES | {"process", "display", "local", "__main__"}

# Besides themselves and the base modules, which import nothing.
MAY_IMPORT: dict[str, set[str]] = {
    "project": set(),
    "connect": set(),
    "options": {"project"},
    "locks": {"project"},
    "bundle": {"project", "locks"},
    "local": {"project", "bundle"},
    "ship": {"project", "connect"},
    "commands": {"project", "locks", "bundle", "connect", "ship", "options", "local"},
    "display": {"commands"},
    "process": {"options", "commands", "display"},
    "cli": {"commands", "options", "process"},
    "plugin": {"commands", "options", "process", "bundle", "project"},
    "hooks": {"plugin"},
    "invoke_tasks": {"commands", "options", "process"},
    "api": {"options", "commands", "ship", "connect", "bundle", "project"},
    "__init__": {"api"},
    "__main__": {"cli", "process"},
}

ONE_EDGE: dict[str, tuple[str, ...]] = {
    "requests": ("hatch_connect/connect/",),
    "urllib3": ("hatch_connect/connect/",),
    "pip_requirements_parser": ("hatch_connect/locks/requirements.py",),
    "hatchling": (
        "hatch_connect/bundle/hatchling.py",
        "hatch_connect/bundle/build.py",
        "hatch_connect/plugin/",
        "hatch_connect/hooks.py",
    ),
    "hatch": ("hatch_connect/plugin/",),
    "keyring": ("hatch_connect/connect/logins.py",),
    "tomlkit": ("hatch_connect/commands/additions.py", "hatch_connect/commands/settings.py"),
    "isal": ("hatch_connect/bundle/archive.py",),
    "click": ("hatch_connect/cli.py",),
    "rich": ("hatch_connect/display.py",),
    "invoke": ("invoke_tasks/",),
    "starlette": ("hatch_connect/local/",),
    "uvicorn": ("hatch_connect/local/",),
    "httpx2": ("hatch_connect/local/",),
    "itsdangerous": ("hatch_connect/local/",),
    "jinja2": ("hatch_connect/local/",),
}

FILES = sorted(
    path for package in ("hatch_connect", "invoke_tasks") for path in (ROOT / package).rglob("*.py")
)
PATHS = [path.relative_to(ROOT).as_posix() for path in FILES]


def part(path: str) -> str:
    """Return the first name below the package: a part, or a module of its own."""
    package, first, *_ = path.removesuffix(".py").split("/")
    return package if package == "invoke_tasks" else first


def imported(path: str, *, root: Path = ROOT, typing: bool = True) -> list[str]:
    """Return the full names of all modules that a file imports, wherever it does so.

    With `typing` False, what only a type checker imports is left out.
    """
    names = []
    for node in _nodes(ast.parse((root / path).read_text(encoding="utf-8")), typing=typing):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = path.removesuffix("/__init__.py").removesuffix(".py").split("/")
                depth = node.level - path.endswith("__init__.py")
                base = ".".join([*package[: len(package) - depth], *filter(None, [base])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names += [str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)]
    return names


def used_parts(path: str) -> set[str]:
    """Return the other parts that a file imports; a name of the package itself is none."""
    ours = [name.split(".") for name in imported(path) if name.startswith("hatch_connect.")]
    return {name[1] for name in ours if name[1].strip("_") == name[1]} - {part(path)}


def _nodes(tree: ast.AST, *, typing: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not typing:
            continue
        yield node
        yield from _nodes(node, typing=typing)


@pytest.mark.parametrize("path", PATHS)
def test_a_part_imports_only_those_it_may(path: str) -> None:
    own = part(path)
    assert used_parts(path) <= (set() if own in BASE else MAY_IMPORT[own] | BASE)


def test_the_table_allows_no_more_than_is_used() -> None:
    used: dict[str, set[str]] = {name: set() for name in MAY_IMPORT}
    for path in PATHS:
        if part(path) not in BASE:
            used[part(path)] |= used_parts(path) - BASE
    assert used == MAY_IMPORT


def test_no_entry_is_used_by_another_or_from_inside() -> None:
    starts = {"hooks": {"plugin"}, "__main__": {"cli"}, "__init__": {"api"}}
    using = {name: parts & ENTRIES for name, parts in MAY_IMPORT.items() if parts & ENTRIES}
    assert using == starts


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("part/a.py", "from . import b", "part.b"),
        ("part/below/a.py", "from ..b import x", "part.b"),
        ("part/below/__init__.py", "from ..b import x", "part.b"),
        ("part/a.py", "def f():\n    import other.b", "other.b"),
        ("part/a.py", "class A:\n    def f(self):\n        from other import b", "other.b"),
        ("part/a.py", "if TYPE_CHECKING:\n    from other import b", "other.b"),
        ("part/a.py", "import importlib\nimportlib.import_module('other.b')", "other.b"),
    ],
)
def test_an_import_is_seen_wherever_it_stands(
    tmp_path: Path, path: str, text: str, name: str
) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(text, encoding="utf-8")
    assert name in imported(path, root=tmp_path)


@pytest.mark.parametrize("path", PATHS)
def test_a_library_is_used_at_its_edge_alone(path: str) -> None:
    used = {name.split(".")[0] for name in imported(path)} & ONE_EDGE.keys()
    assert {name for name in used if not path.startswith(ONE_EDGE[name])} == set()


@pytest.mark.parametrize("path", [p for p in PATHS if "/plugin/" in p or p.endswith("hooks.py")])
def test_hatch_is_imported_inside_functions_only(path: str) -> None:
    top = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    names = [n.module or "" for n in top if isinstance(n, ast.ImportFrom)]
    assert [name for name in names if name.split(".")[0] == "hatch"] == []


@pytest.mark.parametrize("path", [p for p in PATHS if part(p) not in OUTSIDE])
def test_only_the_outside_reads_the_process(path: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    read = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    forbidden = {"os.environ", "os.getenv", "sys.argv", "sys.exit", "sys.stdout"}
    forbidden.add("time.time")
    if part(path) != "connect":  # which asks whether a token has expired
        forbidden.add("datetime.now")
    assert (read | set(imported(path))) & forbidden == set()


def in_cycles(root: Path, paths: list[str], *, typing: bool = True) -> set[str]:
    """Return the modules that cannot be put into an order of import, those in functions counted.

    With `typing` False, what only a type checker imports is left out.
    """
    modules = {path: path.removesuffix(".py").removesuffix("/__init__") for path in paths}
    known = {module.replace("/", ".") for module in modules.values()}
    graph: dict[str, set[str]] = {}
    for path, module in modules.items():
        name = module.replace("/", ".")
        # A package is imported with each module in it: it needs nothing of them at its start.
        around = {name.rpartition(".")[0], name.partition(".")[0]}
        needs = known.intersection(imported(path, root=root, typing=typing))
        graph[name] = needs - around - {name}
    done: set[str] = set()
    while ready := {m for m, needs in graph.items() if m not in done and needs <= done}:
        done |= ready
    return graph.keys() - done


def test_there_is_no_import_cycle() -> None:
    assert in_cycles(ROOT, PATHS, typing=False) == set()


def test_no_two_modules_need_the_types_of_each_other() -> None:
    assert in_cycles(ROOT, PATHS) == set()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("import part.b", "import part.a"),
        ("from .b import x", "from .a import y"),
        ("from . import b", "from part import a"),
        ("def f():\n    from .b import x", "from .a import y"),
        ("try:\n    from .b import x\nexcept ImportError:\n    pass", "import part.a as z"),
    ],
)
def test_a_cycle_is_seen_wherever_the_imports_stand(tmp_path: Path, one: str, other: str) -> None:
    paths = ["part/__init__.py", "part/a.py", "part/b.py", "part/c.py"]
    for path, text in zip(paths, ("", one, other, "import part.a"), strict=True):
        (tmp_path / "part").mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    cycle = {"part.a", "part.b", "part.c"}
    assert in_cycles(tmp_path, paths, typing=False) == cycle
    typing = f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {other}\n"
    (tmp_path / "part" / "b.py").write_text(typing, encoding="utf-8")
    assert in_cycles(tmp_path, paths, typing=False) == set()
    assert in_cycles(tmp_path, paths) == cycle
