from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hatch_connect.errors import ConfigurationError, UsageError
from hatch_connect.local.users import make_users, others_may_read, read_users
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

OWN_KEY = Secret("key-of-the-developer")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "users.toml"


def test_made_up_people_have_keys_that_only_their_owner_can_read(file: Path) -> None:
    make_users(file)
    made = read_users(file, OWN_KEY)

    assert {name: role for name, (role, _key) in made.users.items()} == {
        "ann": "publisher",
        "bob": "viewer",
    }
    assert made.groups == {"analysts": ("ann",)}
    keys = {key.reveal() for _role, key in made.users.values() if key}
    assert len(keys) == 2
    assert not others_may_read(file)

    before = file.read_bytes()
    make_users(file)
    assert file.read_bytes() == before


def test_a_role_and_a_key_may_be_missing(file: Path) -> None:
    file.write_text(
        '[users.ann]\n[users.bob]\nkey = " "\n[groups]\nbob = ["ann", "local", "ann"]\n', "utf-8"
    )

    declared = read_users(file, OWN_KEY)

    assert declared.users == {"ann": ("publisher", None), "bob": ("publisher", None)}
    assert declared.groups == {"bob": ("ann", "local")}
    assert declared.file == file


def test_every_mistake_is_told_at_once_and_no_key(file: Path) -> None:
    file.write_text(
        f"""\
people = 1

[users]
local = {{}}
ann = {{ role = "boss", key = "one", mail = "ann@example.com" }}
bob = {{ key = "one" }}
cleo = {{ key = "{OWN_KEY.reveal()}" }}
dan = "viewer"
"eve " = {{ key = "a\\u00e9" }}

[groups]
analysts = ["ann", "zoe"]
writers = "ann"
""",
        "utf-8",
    )

    with pytest.raises(ConfigurationError) as caught:
        read_users(file, OWN_KEY)

    assert str(caught.value).splitlines() == [
        f"{file}:",
        "  - `people` is unknown; the keys are users and groups.",
        "  - `users` has a name that is not usable: 'eve '.",
        "  - `users.local`: this is the name of the server's own administrator.",
        "  - `users.ann.mail` is unknown; the keys are role and key.",
        "  - `users.ann.role` must be one of: administrator, publisher, viewer.",
        "  - `users.bob.key` is the same key as in `users.ann.key`.",
        "  - `users.cleo.key` is the same key as in the server's own `api-key` file.",
        "  - `users.dan` must be a table, not a string.",
        "  - `users.eve .key` must be a string of printable ASCII characters.",
        "  - `groups.analysts` names 'zoe', but there is no table `users.zoe`.",
        "  - `groups.writers` must be an array of users' names.",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [(b"[users", "is not valid TOML"), (b"a = '\xff'", "is not valid TOML"), (None, "Cannot read")],
)
def test_a_file_that_is_none(file: Path, text: bytes | None, reason: str) -> None:
    if text is not None:
        file.write_bytes(text)

    with pytest.raises(UsageError, match=reason):
        read_users(file, OWN_KEY)


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_a_file_that_others_may_read_is_noticed(file: Path) -> None:
    make_users(file)
    file.chmod(0o640)

    assert others_may_read(file)
