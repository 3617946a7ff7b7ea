from __future__ import annotations

import pytest

from hatch_connect.project.locks.fit import file_name, fits, parted, url_problem
from hatch_connect.project.target import Target

TAGS = frozenset(Target(python="3.12").tags())


@pytest.mark.parametrize(
    ("wheel", "wanted"),
    [
        ("a-1-py3-none-any.whl", True),
        ("a-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("a-1-cp38-abi3-manylinux_2_28_x86_64.whl", True),
        ("a-1-cp312-cp312-manylinux_2_28_aarch64.whl", False),
        ("a-1-cp312-cp312-musllinux_1_2_x86_64.whl", False),
        ("a-1-cp312-cp312t-manylinux_2_28_x86_64.whl", False),
        ("a-1-cp313-abi3-manylinux_2_28_x86_64.whl", False),
        ("a-1-py2-none-any.whl", False),
        ("no-wheel.whl", False),
    ],
)
def test_a_wheel_fits_by_its_tags(wheel: str, *, wanted: bool) -> None:
    assert fits([wheel], TAGS) is wanted


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://h.example/a.whl", None),
        ("git+ssh://git@h.example/a@0123456", None),
        ("https://[/a.whl", "has a URL that is none"),
        ("https://me@h.example/a.whl", "has credentials in its URL: https://***@h.example/a.whl"),
        (
            "https://h.example/a.whl?Token=x&y=z",
            "has a `token` in its URL: https://h.example/a.whl",
        ),
        ("git+file:///a", "only this machine can reach"),
        ("http://127.0.0.1:8000/a.whl", "only this machine can reach"),
        ("http://[::1]/a.whl", "only this machine can reach"),
    ],
)
def test_which_urls_may_ship(url: str, said: str | None) -> None:
    found = url_problem("a 1", url)
    assert found == said or (said is not None and found is not None and said in found)


def test_what_is_no_url_has_no_parts() -> None:
    assert parted("https://[") == parted("")
    assert file_name("https://[/a.whl") == ""
    assert file_name("https://h/a%20b.whl#x") == "a b.whl"
