from __future__ import annotations

from pathlib import Path

import pytest
from packaging.markers import Marker, default_environment
from packaging.utils import parse_wheel_filename

from hatch_connect.bundle.packages import requirements_txt
from hatch_connect.errors import LockError
from hatch_connect.locks.freeze import freeze
from hatch_connect.locks.lock import Lock, Pin
from hatch_connect.project.interpreter import DirectUrl, Installed, Interpreter
from hatch_connect.project.target import Target

TARGET = Target(python="3.11", machine="x86_64")


class TestTarget:
    def test_its_environment_has_every_key_of_a_marker(self) -> None:
        assert set(TARGET.environment()) == set(default_environment())

    def test_it_is_not_this_machine(self) -> None:
        environment = Target(python="3.12", machine="aarch64").environment()
        held = Marker(
            "sys_platform == 'linux' and platform_machine == 'aarch64' and os_name == 'posix'"
            " and python_version == '3.12' and platform_system == 'Linux'"
            " and platform_python_implementation == 'CPython'"
        )
        assert held.evaluate(environment)

    def test_only_an_unknown_patch_varies(self) -> None:
        versions = [e["python_full_version"] for e in TARGET.environments()]
        assert versions == ["3.11.0", "3.11.99"]
        (known,) = Target(python="3.11.4", machine="x86_64").environments()
        assert (known["python_full_version"], known["python_version"]) == ("3.11.4", "3.11")

    @pytest.mark.parametrize(
        ("wheel", "fits"),
        [
            ("a-1-py3-none-any.whl", True),
            ("a-1-py2.py3-none-any.whl", True),
            ("a-1-cp311-cp311-manylinux_2_28_x86_64.whl", True),
            ("a-1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", True),
            ("a-1-cp37-abi3-manylinux1_x86_64.whl", True),
            ("a-1-cp311-none-linux_x86_64.whl", True),
            ("a-1-cp312-cp312-manylinux_2_28_x86_64.whl", False),
            ("a-1-cp311-cp311-musllinux_1_2_x86_64.whl", False),
            ("a-1-cp311-cp311-manylinux_2_28_aarch64.whl", False),
            ("a-1-cp311-cp311-win_amd64.whl", False),
            ("a-1-cp311-cp311-macosx_11_0_arm64.whl", False),
            ("a-1-cp313-cp313t-manylinux_2_28_x86_64.whl", False),
        ],
    )
    def test_its_tags(self, wheel: str, fits: bool) -> None:  # noqa: FBT001 -- a column of a table
        assert fits is not parse_wheel_filename(wheel)[3].isdisjoint(TARGET.tags())

    def test_it_can_be_shown(self) -> None:
        assert str(TARGET) == "CPython 3.11 on linux x86_64"


class TestRequirements:
    def test_lines_are_sorted_below_a_header_that_never_changes(self) -> None:
        lock = Lock(
            path=Path("/somewhere/uv.lock"),
            format="uv.lock",
            sha256="abc",
            pins=(
                Pin(name="b", requirement="b==2", version="2"),
                Pin(name="a", requirement="a==1", version="1", hashes=("sha256:1", "sha256:2")),
            ),
        )
        assert requirements_txt(lock) == (
            b"# Made by hatch-connect from the project's lock.\n"
            b"a==1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n"
            b"b==2\n"
        )

    def test_a_file_shipped_as_written_is_as_written(self) -> None:
        lock = Lock(path=Path("r.txt"), format="requirements.txt", pins=(), verbatim=b"x\r\n")
        assert requirements_txt(lock) == b"x\r\n"


class TestFreeze:
    def frozen(self, *packages: Installed, broken: tuple[str, ...] = ()) -> Lock:
        interpreter = Interpreter(
            path=Path("/v/bin/python"),
            version="3.11.7",
            implementation="cpython",
            packages=packages,
            broken=broken,
        )
        return freeze(interpreter, own_name="My.Project")

    def test_the_project_and_publishing_tools_are_left_out_by_their_exact_names(self) -> None:
        names = ("my-project", "rsconnect_python", "hatch-connect", "rsconnect-python-extra", "pip")
        lock = self.frozen(*(Installed(name=name, version="1") for name in names))
        assert [pin.requirement for pin in lock.pins] == ["rsconnect-python-extra==1", "pip==1"]
        assert (lock.path, lock.format) == (None, "installed")
        assert b"the installed packages" in requirements_txt(lock)

    def test_what_is_installed_from_the_projects_root_is_the_project(self, tmp_path: Path) -> None:
        url = DirectUrl(url=tmp_path.as_uri(), editable=True, directory=True)
        packages = (Installed(name="other-name", version="1", direct_url=url),)
        interpreter = Interpreter(
            path=Path("/v/bin/python"),
            version="3.11.7",
            implementation="cpython",
            packages=(*packages, Installed(name="six", version="1")),
        )
        lock = freeze(interpreter, own_name="my-project", root=tmp_path)
        assert [pin.name for pin in lock.pins] == ["six"]

    def test_what_came_from_a_url_keeps_it(self) -> None:
        lock = self.frozen(
            Installed(
                name="cloned",
                version="1",
                direct_url=DirectUrl(
                    url="https://h/r", vcs="git", commit="0123abc", subdirectory="sub"
                ),
            ),
            Installed(name="a", version="1", direct_url=DirectUrl(url="https://h/a-1.tar.gz")),
        )
        assert [pin.requirement for pin in lock.pins] == [
            "cloned @ git+https://h/r@0123abc#subdirectory=sub",
            "a @ https://h/a-1.tar.gz",
        ]

    def test_what_came_from_a_file_that_is_gone_is_noted(self, tmp_path: Path) -> None:
        """As all of conda's packages did, by way of a build folder."""
        url = DirectUrl(url=(tmp_path / "gone").as_uri(), directory=True)
        lock = self.frozen(Installed(name="a", version="1", direct_url=url))
        assert [pin.requirement for pin in lock.pins] == ["a==1"]
        assert "a 1 was installed from a file" in lock.notes[0]

    def test_a_neighbour_is_built_from_the_folder_that_it_was_installed_from(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "below").mkdir()
        (tmp_path / "below" / "setup.py").touch()
        (tmp_path / "pyproject.toml").touch()
        url = tmp_path.as_uri()
        lock = self.frozen(
            Installed(
                name="Near.By",
                version="1",
                direct_url=DirectUrl(url=url, editable=True, directory=True),
            ),
            Installed(
                name="below",
                version="1",
                direct_url=DirectUrl(url=url, directory=True, subdirectory="below"),
            ),
        )
        assert lock.pins == ()
        assert [(one.name, one.path) for one in lock.local] == [
            ("near-by", tmp_path),
            ("below", tmp_path / "below"),
        ]

    def test_what_only_this_machine_has_is_refused_all_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(LockError) as caught:
            self.frozen(
                Installed(
                    name="neighbour",
                    version="1",
                    direct_url=DirectUrl(url="file:///n", editable=True, directory=True),
                ),
                Installed(
                    name="here",
                    version="1",
                    direct_url=DirectUrl(url=tmp_path.as_uri(), directory=True),
                ),
                Installed(
                    name="private",
                    version="1",
                    direct_url=DirectUrl(url="https://me:hunter2@h/r", vcs="git", commit="a"),
                ),
                broken=("/v/broken.dist-info",),
            )
        said = str(caught.value)
        for text in ("neighbour 1", "here 1", "private 1", "/v/broken.dist-info"):
            assert text in said
        assert "hunter2" not in said
