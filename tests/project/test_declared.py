"""What `[tool.hatch-connect.settings]` declares of the content on the server."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.projects import configuration

from hatch_connect.errors import ConfigurationError
from hatch_connect.project.declared import DECLARED, NOTHING, DeclaredKind, DeclaredNames

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.project.declared import DeclaredKey, DeclaredSettings

MAIN = """
[project]
name = "sales"
version = "1"
[tool.hatch-connect]
app-mode = "{mode}"
entrypoint = "{entrypoint}"
"""
TABLE = "[tool.hatch-connect.settings]\n"
DIGITS = 20
"""More than any bound has."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "thumbnail.png").write_bytes(b"PNG")
    (tmp_path / "index.html").touch()
    return tmp_path


def declared(
    root: Path,
    text: str,
    *,
    content: str | None = None,
    on: str | None = None,
    html: bool = False,
) -> DeclaredSettings:
    """Read what tables declare; text without a head stands in the main table `settings`."""
    head = "" if text.lstrip().startswith("[") else TABLE
    kind = {"mode": "static", "entrypoint": "index.html"} if html else {}
    main = MAIN.format(**({"mode": "fastapi", "entrypoint": "sales:app"} | kind))
    (root / "pyproject.toml").write_text(main + head + text, encoding="utf-8")
    return configuration(root, content=content, on=on).declared


def problems(root: Path, text: str, *, content: str | None = None, html: bool = False) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        declared(root, text, content=content, html=html)
    return list(caught.value.problems)


def fields(read: DeclaredSettings) -> dict[str, object]:
    return {field.name: field.value for field in read.fields}


def example(one: DeclaredKey) -> object:
    return tomllib.loads(f"value = {one.example}")["value"]


NOT_AS_WRITTEN = {"memory-request": 512 * 1024**2, "memory-limit": 2 * 1000**3}
FIELDS = [pytest.param(one, id=key) for key, one in DECLARED.items() if one.name]
EVERY = [pytest.param(one, id=key) for key, one in DECLARED.items()]


class TestEveryKey:
    @pytest.mark.parametrize("one", FIELDS)
    def test_a_field_is_read(self, root: Path, one: DeclaredKey) -> None:
        (field,) = declared(root, f"{one.key} = {one.example}").fields
        assert (field.key, field.name) == (one.key, one.name)
        assert field.value == NOT_AS_WRITTEN.get(one.key, example(one))
        assert field.called == f"`tool.hatch-connect.settings.{one.key}`"

    @pytest.mark.parametrize("one", EVERY)
    def test_it_changes_what_is_declared(self, root: Path, one: DeclaredKey) -> None:
        assert declared(root, f"{one.key} = {one.example}") != NOTHING

    @pytest.mark.parametrize("one", EVERY)
    def test_another_type_is_a_problem(self, root: Path, one: DeclaredKey) -> None:
        (found,) = problems(root, f"{one.key} = 2024-01-01")
        assert found.startswith(f"`tool.hatch-connect.settings.{one.key}` must be ")
        assert found.endswith(", not a date or time.")

    @pytest.mark.parametrize("one", FIELDS)
    def test_the_word_default_is_for_those_that_have_one(
        self, root: Path, one: DeclaredKey
    ) -> None:
        text = f'{one.key} = "default"'
        if one.nullable:
            assert fields(declared(root, text)) == {one.name: None}
        elif one.kind is DeclaredKind.TEXT:
            assert fields(declared(root, text)) == {one.name: "default"}
        else:
            assert len(problems(root, text)) == 1

    @pytest.mark.parametrize("one", EVERY)
    def test_a_name_that_comes_close_brings_it(self, root: Path, one: DeclaredKey) -> None:
        (found,) = problems(root, f"{one.key.replace('-', '_')}_ = 1")
        assert f"Did you mean `{one.key}`?" in found


class TestAnyValue:
    """Whatever TOML can say is read, or a problem that names its key; nothing else is raised."""

    VALUES = st.recursive(
        st.one_of(
            st.text(st.characters(codec="utf-8")),
            st.integers(-(10**DIGITS), 10**DIGITS),
            st.floats(),
            st.booleans(),
            st.dates(),
            st.sampled_from(["default", "group:", "a/b", "/x/", "../x", "\0", "x" * 300, "1 GB"]),
        ),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("k"), inner),
        max_leaves=4,
    )

    @settings(suppress_health_check=list(HealthCheck), max_examples=300)
    @given(one=st.sampled_from(list(DECLARED.values())), value=VALUES)
    def test_is_read_or_named(self, root: Path, one: DeclaredKey, value: object) -> None:
        read = NOTHING
        found: tuple[str, ...] = ()
        try:
            read = declared(root, f"{one.key} = {toml(value)}")
        except ConfigurationError as error:
            found = error.problems
        assert all(text.startswith(f"`tool.hatch-connect.settings.{one.key}") for text in found)
        for field in read.fields:
            if isinstance(field.value, int | float) and not isinstance(field.value, bool):
                assert one.least <= field.value <= one.most


def toml(value: object) -> str:
    """Write any value that TOML has."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(f"\\U{ord(char):08x}" for char in value) + '"'
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            return f"{{{', '.join(f'{key} = {toml(held)}' for key, held in value.items())}}}"
    return str(value)


class TestSizes:
    UNITS = st.sampled_from(
        [
            *(("B", 1), ("kB", 10**3), ("MB", 10**6), ("GB", 10**9), ("TB", 10**12)),
            *(("KiB", 2**10), ("MiB", 2**20), ("GiB", 2**30), ("TiB", 2**40)),
        ]
    )

    @settings(suppress_health_check=list(HealthCheck))
    @given(amount=st.integers(0, 10**6), unit=UNITS, space=st.sampled_from(["", " "]))
    def test_are_exact(self, root: Path, amount: int, unit: tuple[str, int], space: str) -> None:
        read = declared(root, f'memory-limit = "{amount}{space}{unit[0]}"')
        assert fields(read) == {"memory_limit": amount * unit[1]}

    @pytest.mark.parametrize(
        ("text", "size"),
        [("1.5 GiB", 3 * 2**29), ("0.1 kB", 100), ("512mib", 2**29), ("2 gb", 2 * 10**9)],
    )
    def test_may_have_a_fraction_and_small_letters(self, root: Path, text: str, size: int) -> None:
        assert fields(declared(root, f'memory-limit = "{text}"')) == {"memory_limit": size}

    def test_an_integer_is_bytes(self, root: Path) -> None:
        assert fields(declared(root, "memory-limit = 1_000")) == {"memory_limit": 1000}

    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            ('"512"', "must be a size such as"),
            ('"512Mi"', "must be a size such as"),
            ('"-1 MB"', "must be a size such as"),
            ('"1,5 GB"', "must be a size such as"),
            ('"٣ MB"', "must be a size such as"),
            ('"0.5 B"', "must be a whole number of bytes"),
            ('"0.0001 kB"', "must be a whole number of bytes"),
            ('"10000000000 TiB"', "must be between 0 and 9,223,372,036,854,775,807"),
            ("9223372036854775808", "must be between 0 and 9,223,372,036,854,775,807"),
            ("1.5", "must be a size such as"),
        ],
    )
    def test_that_are_none(self, root: Path, value: str, problem: str) -> None:
        (found,) = problems(root, f"memory-limit = {value}")
        assert found.startswith(f"`tool.hatch-connect.settings.memory-limit` {problem}")


class TestLists:
    ON = "[tool.hatch-connect.on.prod.settings]\n"

    def names(self, root: Path, text: str, on: str | None = "prod") -> tuple[object, bool]:
        read = declared(root, text, on=on).viewers
        assert read is not None
        return read.names, read.whole

    def test_a_stronger_list_takes_the_place_of_a_weaker_one(self, root: Path) -> None:
        text = f'{TABLE}viewers = ["ann"]\n{self.ON}viewers = ["bob"]'
        assert self.names(root, text) == (("bob",), True)
        assert self.names(root, text, on=None) == (("ann",), True)

    def test_an_addition_joins_the_list_of_a_weaker_table(self, root: Path) -> None:
        text = f'{TABLE}viewers = ["ann"]\n{self.ON}viewers-add = ["bob", "ann"]'
        read = declared(root, text, on="prod").viewers
        assert read == DeclaredNames(
            key="viewers",
            names=("ann", "bob"),
            whole=True,
            called="`tool.hatch-connect.settings.viewers` and"
            " `tool.hatch-connect.on.prod.settings.viewers-add`",
        )

    def test_without_a_list_nothing_is_whole(self, root: Path) -> None:
        text = f'{TABLE}viewers-add = ["ann"]\n{self.ON}viewers-add = ["bob"]'
        assert self.names(root, text) == (("ann", "bob"), False)

    def test_a_stronger_list_forgets_weaker_additions(self, root: Path) -> None:
        text = f'{TABLE}viewers-add = ["ann"]\n{self.ON}viewers = ["bob"]'
        assert self.names(root, text) == (("bob",), True)

    def test_nobody_is_a_list_too(self, root: Path) -> None:
        assert self.names(root, "viewers = []") == ((), True)
        assert declared(root, "viewers-add = []") == NOTHING

    @pytest.mark.parametrize("key", ["viewers", "collaborators-add"])
    @pytest.mark.parametrize("name", ["", " ", "group:", "group: x", "ann ", "a\\nb"])
    def test_names_that_nobody_has(self, root: Path, key: str, name: str) -> None:
        (found,) = problems(root, f'{key} = ["ok", "{name}"]')
        assert found.startswith(f"`tool.hatch-connect.settings.{key}[1]` must ")

    def test_a_category_is_no_tag(self, root: Path) -> None:
        (found,) = problems(root, 'tags = ["Department", "Department/Finance/EU"]')
        assert found == (
            "`tool.hatch-connect.settings.tags[0]` must name a tag in the category `Department`:"
            " `Department/TAG`."
        )

    @pytest.mark.parametrize("tag", ["/Finance", "Department/", "A//B", "A / B"])
    def test_a_tag_has_a_name_on_each_level(self, root: Path, tag: str) -> None:
        (found,) = problems(root, f'tags = ["{tag}"]')
        assert "must be a tag with its category, such as `Department/Finance`" in found


class TestPaths:
    WORDS = st.text("abcXYZ019-_", min_size=1, max_size=8).filter(
        lambda word: not word.startswith("__")
    )

    @settings(suppress_health_check=list(HealthCheck))
    @given(words=st.lists(WORDS, min_size=1, max_size=4), ends=st.tuples(*[st.booleans()] * 2))
    def test_are_written_as_connect_answers_them(
        self, root: Path, words: list[str], ends: tuple[bool, bool]
    ) -> None:
        before, after = ("/" if slash else "" for slash in ends)
        path = declared(root, f'vanity-path = "{before}{"/".join(words)}{after}"').vanity_path
        assert path is not None
        assert path.value == f"/{'/'.join(words)}/"

    @pytest.mark.parametrize("path", ["", "/", "//", "a b", "a//b", "/ä/", "/a?b", "https://x/y"])
    def test_that_connect_refuses(self, root: Path, path: str) -> None:
        (found,) = problems(root, f'vanity-path = "{path}"')
        assert found.startswith("`tool.hatch-connect.settings.vanity-path` must be a path of")

    @pytest.mark.parametrize("path", ["/content/", "help", "/__api__/x", "/apps/sales/"])
    def test_of_connect_itself(self, root: Path, path: str) -> None:
        (found,) = problems(root, f'vanity-path = "{path}"')
        assert found.endswith(", which Connect reserves.")

    def test_false_removes(self, root: Path) -> None:
        read = declared(root, "vanity-path = false\nthumbnail = false")
        assert read.vanity_path is not None
        assert read.thumbnail is not None
        assert (read.vanity_path.value, read.thumbnail.value) == (None, None)

    @pytest.mark.parametrize("key", ["vanity-path", "thumbnail"])
    def test_true_means_nothing(self, root: Path, key: str) -> None:
        (found,) = problems(root, f"{key} = true")
        assert found.endswith(f"{key}` must be a string or false, not true.")

    def test_other_content_does_not_inherit_the_vanity_path(self, root: Path) -> None:
        text = f"""{TABLE}vanity-path = "/sales/"
            [tool.hatch-connect.on.prod.settings]
            vanity-path = "/prod/"
            [tool.hatch-connect.content.api]
            [tool.hatch-connect.content.two.settings]
            vanity-path = "/two/"
            """
        assert declared(root, text, content="api", on="prod") == NOTHING
        two = declared(root, text, content="two", on="prod").vanity_path
        assert two is not None
        assert two.value == "/two/"


class TestThumbnail:
    def test_is_known_by_its_absolute_path(self, root: Path) -> None:
        read = declared(root, 'thumbnail = "docs/thumbnail.png"').thumbnail
        assert read is not None
        assert read.value == str((root / "docs" / "thumbnail.png").resolve())

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("docs", "names a file that does not exist: 'docs'"),
            ("index.html", "names an empty file: 'index.html'"),
            ("docs/other.png", "names a file that does not exist: 'docs/other.png'"),
            ("x" * 300, "names a file that does not exist"),
            ("a\\u0000b", "names a file that does not exist"),
            ("../outside.png", "must be a file inside the project"),
            ("/etc/hostname", "must be a file inside the project"),
            ("~/x.png", "must be the path of a file in the project, relative to its root"),
            ("https://x/y.png", "must be the path of a file in the project, relative to its root"),
        ],
    )
    def test_must_be_a_file_of_the_project(self, root: Path, text: str, problem: str) -> None:
        (root.parent / "outside.png").write_bytes(b"PNG")
        (found,) = problems(root, f'thumbnail = "{text}"')
        assert found.startswith(f"`tool.hatch-connect.settings.thumbnail` {problem}")

    def test_a_link_may_not_lead_outside(self, root: Path) -> None:
        (root.parent / "secret.png").write_bytes(b"PNG")
        (root / "link.png").symlink_to(root.parent / "secret.png")
        (root / "loop.png").symlink_to("loop.png")
        (found,) = problems(root, 'thumbnail = "link.png"')
        assert found.endswith("must be a file inside the project.")
        (found,) = problems(root, 'thumbnail = "loop.png"')
        assert "names a file that does not exist" in found


class TestChecks:
    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("load-factor = 1.01", "load-factor` must be between 0 and 1"),
            ("load-factor = nan", "load-factor` must be between 0 and 1"),
            ("cpu-limit = inf", "cpu-limit` must be between 0 and "),
            ("cpu-limit = -0.1", "cpu-limit` must be between 0 and "),
            ("max-processes = 0", "max-processes` must be between 1 and "),
            ("min-processes = 2.0", "min-processes` must be an integer, not a number"),
            ("min-processes = true", "min-processes` must be an integer, not a boolean"),
            ("idle-timeout = '2 min'", "idle-timeout` must be an integer of seconds"),
            ("access = 'public'", """access` must be "all", "logged-in" or "acl", not 'public'"""),
            ("run-as = ' '", "run-as` must be one line of text"),
            ('image = "a\\u0000"', "image` must be one line of text"),
            (f"description = '{'x' * 4097}'", "description` must be at most 4,096 characters"),
            (f"cpu-limit = 0x{'f' * 5000}", "cpu-limit` must be between 0 and "),
        ],
    )
    def test_values(self, root: Path, text: str, problem: str) -> None:
        (found,) = problems(root, text)
        assert found.startswith(f"`tool.hatch-connect.settings.{problem}")

    @pytest.mark.parametrize(
        ("low", "high"),
        [
            ("min-processes = 3", "max-processes = 2"),
            ("memory-request = '1 GiB'", "memory-limit = '1 GB'"),
            ("cpu-request = 0.6", "cpu-limit = 0.5"),
        ],
    )
    def test_a_minimum_above_its_maximum(self, root: Path, low: str, high: str) -> None:
        (found,) = problems(root, f"{low}\n{high}")
        lower, higher = (text.partition(" ")[0] for text in (low, high))
        assert found == (
            f"`tool.hatch-connect.settings.{lower}` must not be greater than"
            f" `tool.hatch-connect.settings.{higher}`."
        )
        assert declared(root, f"{low}\n{higher} = 'default'")

    def test_all_problems_are_reported_at_once(self, root: Path) -> None:
        found = problems(root, "load-factor = 2\ntags = ['X']\nviewer = []\nrun-as = 1")
        assert [problem.split("`")[1].rpartition(".")[2] for problem in found] == [
            "viewer",
            "load-factor",
            "run-as",
            "tags[0]",
        ]

    def test_tables_of_other_servers_and_content_are_checked_for_their_keys(
        self, root: Path
    ) -> None:
        text = """
            [tool.hatch-connect.on.prod.settings]
            viewer = []
            [tool.hatch-connect.content.api.settings]
            vanity = "/x/"
            [tool.hatch-connect.content.api.on.prod.settings]
            tag = []
            [tool.hatch-connect.content.two]
            settings = 1
            """
        assert sorted(
            problem.replace("tool.hatch-connect", "") for problem in problems(root, text)
        ) == [
            "`.content.api.on.prod.settings.tag` is not a valid setting. Did you mean `tags`?",
            "`.content.api.settings.vanity` is not a valid setting. Did you mean `vanity-path`?",
            "`.content.two.settings` must be a table, not an integer.",
            "`.on.prod.settings.viewer` is not a valid setting. Did you mean `viewers`?",
        ]

    def test_two_tables_may_not_set_two_default_images(self, root: Path) -> None:
        text = "[tool.hatch-connect.on.prod]\nimage = 'a'\n[tool.hatch-connect.on.prod.settings]\n"
        assert not declared(root, text + "image = 'a'", on="prod").warnings
        with pytest.raises(ConfigurationError) as caught:
            declared(root, text + "image = 'b'", on="prod")
        (found,) = caught.value.problems
        assert "`tool.hatch-connect.on.prod.image` both set the content's image" in found

    def test_a_default_image_beside_the_bundles_is_a_warning(self, root: Path) -> None:
        text = f"{TABLE}image = 'b'\n[tool.hatch-connect.content.api]\nimage = 'a'"
        (found,) = declared(root, text, content="api").warnings
        assert "has no effect: the bundle sets its own image" in found

    @pytest.mark.parametrize("access", ["all", "logged-in"])
    def test_viewers_without_acl_are_a_warning(self, root: Path, access: str) -> None:
        read = declared(root, f'access = "{access}"\nviewers = ["ann"]')
        assert len(read.warnings) == 1
        assert "viewers` has no effect" in read.warnings[0]
        assert not declared(root, 'access = "acl"\nviewers = ["ann"]').warnings
        assert not declared(root, f'access = "{access}"\nviewers = []').warnings


class TestStaticContent:
    def test_what_processes_need_is_a_problem(self, root: Path) -> None:
        found = problems(root, "run-as = 'x'\nmin-processes = 1\naccess = 'all'", html=True)
        assert [problem.split("`")[1].rpartition(".")[2] for problem in found] == [
            "min-processes",
            "run-as",
        ]
        assert all("does not apply to" in problem for problem in found)

    def test_a_document_is_rendered_by_a_process_that_serves_nobody(self, root: Path) -> None:
        (root / "report.ipynb").write_text("{}", encoding="utf-8")
        text = f"""{TABLE}min-processes = 1
            memory-limit = "1 GB"
            [tool.hatch-connect.content.report]
            app-mode = "notebook"
            entrypoint = "report.ipynb"
            """
        assert fields(declared(root, text, content="report")) == {"memory_limit": 10**9}
        own = "[tool.hatch-connect.content.report.settings]\nidle-timeout = 5"
        (found,) = problems(root, text + own, content="report")
        assert "content.report.settings.idle-timeout` does not apply to" in found

    def test_what_it_inherits_is_left_out(self, root: Path) -> None:
        text = f"""{TABLE}min-processes = 1
            access = "all"
            [tool.hatch-connect.content.page]
            app-mode = "static"
            entrypoint = "index.html"
            """
        assert fields(declared(root, text, content="page")) == {"access_type": "all"}


class TestLayers:
    def test_tables_are_merged_key_by_key(self, root: Path) -> None:
        text = f"""{TABLE}description = "main"
            access = "all"
            min-processes = 1
            idle-timeout = 5
            [tool.hatch-connect.content.api.settings]
            description = "content"
            access = "acl"
            min-processes = 2
            [tool.hatch-connect.on.prod.settings]
            access = "logged-in"
            min-processes = 3
            [tool.hatch-connect.content.api.on.prod.settings]
            min-processes = 4
            """
        assert fields(declared(root, text, content="api", on="prod")) == {
            "description": "content",
            "access_type": "logged_in",
            "min_processes": 4,
            "idle_timeout": 5,
        }
        assert fields(declared(root, text, on="prod")) == {
            "description": "main",
            "access_type": "logged_in",
            "min_processes": 3,
            "idle_timeout": 5,
        }
        assert fields(declared(root, text, content="api"))["min_processes"] == 2

    PLACES = ("", ".content.api", ".on.prod", ".content.api.on.prod")  # from the weakest on
    NAMES = st.lists(st.sampled_from(["ann", "bob", "group:all"]), max_size=2, unique=True)
    TABLES = st.lists(
        st.fixed_dictionaries({}, optional={"viewers": NAMES, "viewers-add": NAMES}),
        min_size=len(PLACES),
        max_size=len(PLACES),
    )

    @settings(suppress_health_check=list(HealthCheck), max_examples=150)
    @given(tables=TABLES)
    def test_lists_are_what_reading_the_tables_in_turn_makes_of_them(
        self, root: Path, tables: list[dict[str, list[str]]]
    ) -> None:
        names, whole = [], False
        for table in tables:
            if "viewers" in table:
                names, whole = [*table["viewers"]], True
            names += table.get("viewers-add", [])
        text = "[tool.hatch-connect.content.api]\n" + "".join(
            f"[tool.hatch-connect{place}.settings]\n"
            + "".join(f"{key} = {names}\n" for key, names in table.items())
            for place, table in zip(self.PLACES, tables, strict=True)
        )
        read = declared(root, text, content="api", on="prod").viewers
        assert (
            (list(read.names), read.whole) == (list(dict.fromkeys(names)), whole)
            if read
            else (not names and not whole)
        )

    def test_without_a_table_nothing_is_declared(self, root: Path) -> None:
        assert not declared(root, "")
        assert declared(root, "allow-removals = true").allow_removals
        assert not declared(root, "allow-removals = true")
