"""What the documentation says is true: tables are those of the program, links lead somewhere."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.reference import DOCS, PART, PARTS, renewed
from support.site import problems
from test_import_table import BASE, MAY_IMPORT, imported

from hatch_connect import errors
from hatch_connect.commands import COMMANDS
from hatch_connect.options import Section
from hatch_connect.project.content_kind import APP_MODES
from hatch_connect.project.declared import DECLARED
from hatch_connect.project.settings import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "tests" / "README.md")
)

NAMED = ", ".join(f"`{name}`" for name in sorted(BASE))
IMPORTS = f"part | may import, besides itself and the base modules ({NAMED})"


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def keys_in(text: str) -> list[str]:
    """Return the names in the first cells of a page's tables."""
    cells = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("page", sorted({page for page, _ in PARTS.values()}))
def test_tables_are_those_of_the_declarations(page: str) -> None:
    assert (DOCS / page).read_text(encoding="utf-8") == renewed(page), "run `hatch run docs`"


def test_every_table_of_declarations_stands_in_its_page() -> None:
    found = {part: page for page in PAGES for _, part, _ in PART.findall(read(page))}
    assert found == {name: f"docs/{page}" for name, (page, _) in PARTS.items()}


def test_every_setting_is_explained_once() -> None:
    assert sorted(keys_in(read("docs/reference/settings.md"))) == sorted([*KEYS, *DECLARED])


def test_every_command_is_explained() -> None:
    explained, _, options = read("docs/reference/commands.md").partition("## Options")
    assert re.findall(r"^### (.+)$", explained, re.MULTILINE) == list(COMMANDS)
    headings = re.findall(r"^### (.+)$", options, re.MULTILINE)
    assert headings == [section.value for section in Section]


def test_every_type_of_content_has_an_example() -> None:
    by_hand = PART.sub("", read("docs/reference/content-types.md"))
    names = {name for mode in APP_MODES if mode.short_names for name in mode.short_names}
    modes = {
        name
        for row in re.findall(r"^\| [^|]+ \| (`[^|]+) \|[^|]*\| `", by_hand, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", row)
    }
    assert modes <= names
    shown = {mode.name for mode in APP_MODES if modes & set(mode.short_names)}
    assert shown == {mode.name for mode in APP_MODES if mode.short_names}


def test_the_exit_codes_are_those_of_the_errors() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", read("docs/reference/commands.md"), re.MULTILINE)
    shown = {int(code) for row in rows for code in row.split(", ")}
    raised = {error.exit_code for error in errors.HatchConnectError.__subclasses__()}
    raised.add(errors.HatchConnectError.exit_code)
    assert shown == raised | {0, errors.DIFFERENT, errors.INTERRUPTED, errors.TERMINATED}


def test_every_variable_of_the_environment_is_explained() -> None:
    sources = (ROOT / "hatch_connect").rglob("*.py")
    read_by_us = {
        name
        for path in sources
        if "local" not in path.parts
        for name in re.findall(
            r'(?:environ(?:\.get\(|\[)|(?=.CONNECT_|.GITHUB_|.CI_))"([A-Z_]+)"',
            path.read_text(encoding="utf-8"),
        )
    }
    of_any_program = {"HATCH_ENV_ACTIVE", "HOME", "PATH", "USERPROFILE"}
    explained = re.findall(r"`([A-Z_]+)`", read("docs/reference/environment.md"))
    assert read_by_us - of_any_program <= set(explained)


def rows(title: str) -> list[tuple[list[str], ...]]:
    """Return the names in the two columns of a table of the architecture, remarks left out."""
    text = read("docs/explanation/architecture.md")
    part = text.partition(f"| {title} |\n")[2].partition("\n\n")[0]
    plain = re.sub(r" \([^)]*\)", "", part)
    found = re.findall(r"^\| (`.*?) \|(.*)\|$", plain, re.MULTILINE)
    return [tuple(re.findall(r"`(\w+)/?`", cell) for cell in row) for row in found]


def test_the_architecture_says_who_may_import_whom() -> None:
    said = {part: set(others) for names, others in rows(IMPORTS) for part in names}
    assert said == MAY_IMPORT


def test_the_architecture_names_every_module() -> None:
    for (part,), modules in rows("part | modules"):
        found = {path.stem for path in (ROOT / "hatch_connect" / part).glob("*.py")}
        assert set(modules) - {"__init__"} == found - {"__init__"}, part


def test_the_local_server_imports_downwards() -> None:
    local = ROOT / "hatch_connect" / "local"
    lines = [names for names, _ in rows("modules | their job")]
    line = {name: number for number, names in enumerate(lines) for name in names}
    assert line.keys() == {path.stem for path in local.iterdir()} - {"__init__", "__pycache__"}
    for path in local.rglob("*.py"):
        own = path.relative_to(local).parts[0].removesuffix(".py")
        names = imported(path.relative_to(ROOT).as_posix())
        used = {name.split(".")[2] for name in names if name.startswith("hatch_connect.local.")}
        if own == "error_pages":
            used.remove("dashboard")
        above = {name for name in used & line.keys() if line[name] < line.get(own, 0)}
        assert not above, path


def test_the_architecture_names_what_is_there() -> None:
    text = read("docs/explanation/architecture.md")
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "hatch_connect").rglob("*.py")]
    classes = {
        name for source in sources for name in re.findall(r"^class (\w+)", source, re.MULTILINE)
    }
    assert set(re.findall(r"`([A-Z][a-z]\w+)[`.]", text)) <= classes
    for module in re.findall(r"`(\w+/\w+)`", text):
        assert (ROOT / "hatch_connect" / f"{module}.py").exists(), module


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/explanation/architecture.md"])
def test_every_file_that_is_named_is_there(page: str) -> None:
    for path in re.findall(r"`((?:hatch_connect|tests|docs)/[\w/.-]+)`", read(page)):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\((?!https?://)([^)]+)\)", read(page)):
        path, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def anchors(text: str) -> set[str]:
    """Return the names under which headings can be linked to."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def worded(folder: Path) -> Iterator[str]:
    """Return each text of the sources, with a letter for what is filled in."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (getattr(part, "value", "") for part in node.values)
                yield "".join(part if isinstance(part, str) else "X" for part in parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_each_message_is_worded_as_the_troubleshooting_says() -> None:
    told = re.findall(r"^### `(.+)`$", read("docs/how-to/troubleshoot-by-message.md"), re.MULTILINE)
    texts = "\n\n".join(worded(ROOT / "hatch_connect")).replace("`", "")
    unsaid = [
        message
        for message in told
        if not re.search(re.escape(message).replace("…", "[^\n]*"), texts)
    ]
    # What is Hatch's own; others are to be worded anew in the page.
    assert unsaid == ["Unknown publisher: connect"]


@pytest.mark.parametrize("page", PAGES)
def test_things_are_called_by_their_names(page: str) -> None:
    assert not re.findall(r"(?i)\b(?:doors?|verbs?|houses?|rooms?)\b", read(page))


def test_the_site_is_whole() -> None:
    assert not list(problems())


def test_what_makes_a_site_less_than_whole(tmp_path: Path) -> None:
    nav = '[project]\nnav = ["README.md", { "More" = ["a.md", "gone.md", "a.md"] }]\n'
    (tmp_path / "zensical.toml").write_text(nav, encoding="utf-8")
    (tmp_path / "docs").mkdir()
    for page, text in {
        "README.md": "[a](a.md#part) [out](../zensical.toml)",
        "a.md": "",
        "b.md": "",
    }.items():
        (tmp_path / "docs" / page).write_text(text, encoding="utf-8")
    assert sorted(set(problems(tmp_path))) == [
        "docs/README.md: ../zensical.toml is no file in docs/",
        "zensical.toml: a.md is named twice",
        "zensical.toml: docs/b.md is not in the nav",
        "zensical.toml: there is no docs/gone.md",
    ]


@pytest.mark.registry
def test_the_site_is_built_and_fetches_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE", "zensical.toml"):
        shutil.copy2(ROOT / name, tmp_path)
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copytree(ROOT / "tests" / "support", tmp_path / "tests" / "support")
    done = sandbox.hatch("run", "docs:build", cwd=tmp_path)
    assert done.code == 0, done.said
    site = tmp_path / "site"
    for page in PAGES:
        if page.startswith("docs/"):
            name = page.removeprefix("docs/").replace("README.md", "index.html")
            text = site.joinpath(name).with_suffix(".html").read_text(encoding="utf-8")
            assert not re.findall(
                r"<(?:link|script|img|iframe)\b[^>]*\b(?:href|src)=\"?(?:https?:)?//[^>]*>", text
            )


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/")])
def test_every_page_can_be_found(page: str) -> None:
    if page == "docs/README.md":
        pytest.skip("it is linked from the README")
    assert page.removeprefix("docs/") in read("docs/README.md")
