from __future__ import annotations

import pickle
from dataclasses import dataclass

import pytest

from hatch_connect.secret import Secret


@dataclass(frozen=True)
class Holder:
    key: Secret


def test_a_secret_shows_itself_nowhere_but_where_it_is_revealed() -> None:
    secret = Secret("hunter2")
    shown = f"{secret} {secret!r} {secret!s} {secret:>20} {Holder(secret)} {[secret]}"
    assert "hunter2" not in shown
    assert secret.reveal() == "hunter2"


def test_a_secret_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret("hunter2"))


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert bool(Secret("a")) is True
    assert bool(Secret("")) is False
