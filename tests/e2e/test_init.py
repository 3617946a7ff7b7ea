"""A project is set up with `init`, and deployed with nothing else written."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_connect import FakeConnect
from support.sandbox import committed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.calling import Caller
    from support.sandbox import Finished, Sandbox

FLASK = "from flask import Flask\n\napp = Flask(__name__)\n"
FASTAPI = "from fastapi import FastAPI\n\napp = FastAPI()\n"
NOTEBOOK = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
HATCHLING = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
PROJECT = '[project]\nname = "sales"\nversion = "1.0"\nrequires-python = ">=3.11"\n'

KINDS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "flask": (
        {"app.py": FLASK, "requirements.txt": "flask==3.0.0\n"},
        {"app-mode": "python-api", "entrypoint": "app"},
    ),
    "factory": (
        {
            "app.py": "from web import create_app\n\napp = create_app()\n",
            "web.py": "from flask import Flask\n\ndef create_app():\n    return Flask('web')\n",
            "requirements.txt": "Flask==3.0.0\n",
        },
        {"app-mode": "python-api", "entrypoint": "app"},
    ),
    "fastapi in src": (
        {
            "pyproject.toml": HATCHLING + PROJECT,
            "src/sales/__init__.py": "",
            "src/sales/main.py": FASTAPI,
            "requirements.txt": "fastapi==0.115.0\n",
        },
        {"app-mode": "python-fastapi", "entrypoint": "sales.main:app"},
    ),
    "fastapi in a flat package, by setuptools": (
        {
            "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\n' + PROJECT,
            "sales/__init__.py": "",
            "sales/main.py": FASTAPI,
            "requirements.txt": "fastapi==0.115.0\n",
        },
        {"app-mode": "python-fastapi", "entrypoint": "sales.main:app"},
    ),
    "fastapi with a gradio mounted": (
        {
            "app.py": "from fastapi import FastAPI\nimport gradio as gr\n\napp = FastAPI()\n"
            "demo = gr.Blocks()\napp = gr.mount_gradio_app(app, demo, path='/demo')\n",
            "requirements.txt": "fastapi==0.115.0\ngradio==5.0.0\n",
        },
        {"app-mode": "python-fastapi", "entrypoint": "app"},
    ),
    "gradio by its package": (
        {
            "app.py": "from made import make\n\ndemo = make()\n",
            "made.py": "def make():\n    return __import__('gradio').Blocks()\n",
            "requirements.txt": "gradio==5.0.0\n",
        },
        {"app-mode": "python-gradio", "entrypoint": "app:demo"},
    ),
    "voila of several notebooks": (
        {
            "one.ipynb": NOTEBOOK,
            "two.ipynb": NOTEBOOK,
            "requirements.txt": "voila==0.5.8\n",
            "manifest.json": '{"metadata": {"appmode": "jupyter-voila", "entrypoint": ""}}',
        },
        {"app-mode": "jupyter-voila", "entrypoint": "."},
    ),
    "streamlit beside helpers": (
        {
            "home.py": "import streamlit as st\nimport shown\n",
            "shown.py": "import streamlit as st\n",
            "pages/one.py": "import streamlit as st\n",
            "requirements.txt": "streamlit==1.40\n",
        },
        {"app-mode": "python-streamlit", "entrypoint": "home.py"},
    ),
    "dash on a flask of its own": (
        {
            "app.py": "import flask\nfrom dash import Dash\n\nserver = flask.Flask(__name__)\n"
            "app = Dash(__name__, server=server)\n",
            "requirements.txt": "dash==2.18\n",
        },
        {"app-mode": "python-dash", "entrypoint": "app"},
    ),
    "shiny express": (
        {"app.py": "from shiny.express import ui\n", "requirements.txt": "shiny==1.2\n"},
        {"app-mode": "python-shiny", "entrypoint": "app.py"},
    ),
    "notebook": (
        {"report.ipynb": NOTEBOOK, "requirements.txt": "ipykernel==6.29\n"},
        {"app-mode": "jupyter-static", "entrypoint": "report.ipynb"},
    ),
    "voila": (
        {"shown.ipynb": NOTEBOOK, "requirements.txt": "voila==0.5.8\n"},
        {"app-mode": "jupyter-voila", "entrypoint": "shown.ipynb"},
    ),
    "html": (
        {"index.html": "<p>hello</p>\n"},
        {"app-mode": "static", "entrypoint": "index.html"},
    ),
    "a program counts before notebooks": (
        {"app.py": FLASK, "look.ipynb": NOTEBOOK, "requirements.txt": "flask==3.0.0\n"},
        {"app-mode": "python-api", "entrypoint": "app"},
    ),
}


@pytest.fixture
def server() -> Iterator[FakeConnect]:
    with FakeConnect() as fake:
        yield fake


def project_of(folder: Path, files: dict[str, str]) -> Path:
    project = folder / "sales"
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    return project


def deploy(sandbox: Sandbox, project: Path, server: FakeConnect, *words: str) -> dict[str, Any]:
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    done = sandbox.connect("deploy", "--json", *words, cwd=project, **keys)
    assert done.code == 0, done.said
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def init(sandbox: Sandbox, project: Path, *words: str) -> Finished:
    done = sandbox.connect("init", "--yes", *words, cwd=project)
    assert done.code == 0, done.said
    return done


def table(project: Path) -> dict[str, Any]:
    read = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    ours: dict[str, Any] = read["tool"]["hatch-connect"]
    return ours


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_project_is_is_found_and_deploys_with_nothing_else_written(
    sandbox: Sandbox, tmp_path: Path, server: FakeConnect, kind: str
) -> None:
    files, wanted = KINDS[kind]
    project = project_of(tmp_path, files)
    init(sandbox, project)
    found = table(project)
    assert {key: found.get(key) for key in wanted} == wanted
    (content,) = [server.contents[deploy(sandbox, project, server)["guid"]]]
    assert content.bundle_id


def test_requirements_alone_are_enough_to_write_a_new_file(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    project = project_of(tmp_path, {**KINDS["flask"][0], ".python-version": "3.12\n"})
    init(sandbox, project)
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    assert text == '[tool.hatch-connect]\napp-mode = "python-api"\nentrypoint = "app"\n'


def test_the_python_of_the_virtual_environment_is_written_if_nothing_states_one(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    files = {**KINDS["flask"][0], ".venv/pyvenv.cfg": "home = /usr\nversion_info = 3.12.4.final\n"}
    project = project_of(tmp_path, files)
    init(sandbox, project)
    assert table(project)["python-version"] == "3.12"


def test_hatch_gets_what_it_needs(sandbox: Sandbox, tmp_path: Path) -> None:
    files, _ = KINDS["fastapi in src"]
    text = files["pyproject.toml"] + "\n[tool.hatch.env]\nrequires = ['hatch-vcs'] # versions\n"
    project = project_of(tmp_path, {**files, "pyproject.toml": text})
    done = init(sandbox, project)
    after = (project / "pyproject.toml").read_text(encoding="utf-8")
    hatch = tomllib.loads(after)["tool"]["hatch"]
    assert [each.split(" ")[0] for each in hatch["env"]["requires"]] == [
        "hatch-vcs",
        "hatch-connect[local]",
    ]
    assert "# versions" in after
    assert hatch["env"]["collectors"] == {"connect": {}}
    assert hatch["build"]["targets"]["connect"]["dependencies"][0].startswith("hatch-connect")
    assert "hatch run connect-deploy" in done.stderr


def test_a_hatch_toml_gets_what_counts_there(sandbox: Sandbox, tmp_path: Path) -> None:
    files = {**KINDS["fastapi in src"][0], "hatch.toml": "[env]\nrequires = ['hatch-connect']\n"}
    project = project_of(tmp_path, files)
    init(sandbox, project)
    hatch = tomllib.loads((project / "hatch.toml").read_text(encoding="utf-8"))
    assert hatch == {"env": {"requires": ["hatch-connect"], "collectors": {"connect": {}}}}
    pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(pyproject["tool"]["hatch"]) == {"build"}


def test_nothing_is_written_where_nobody_says_yes(sandbox: Sandbox, tmp_path: Path) -> None:
    project = project_of(tmp_path, KINDS["flask"][0])
    asked = sandbox.connect("init", cwd=project)
    assert asked.code == 2
    assert "no terminal to prompt on" in asked.stderr
    assert '+app-mode = "python-api"' in asked.stderr
    shown = sandbox.connect("init", "--dry-run", "--json", cwd=project)
    assert shown.code == 0
    facts = json.loads(shown.stdout)
    assert '+app-mode = "python-api"' in facts["diff"]
    assert not facts["written"]
    assert not (project / "pyproject.toml").exists()


def test_a_person_is_asked_what_it_is_and_whether_to_write_it(caller: Caller) -> None:
    project = project_of(caller.folder, {"a.py": FLASK, "b.py": FASTAPI, ".python-version": "3.12"})
    answers = iter(["2\n", "n\n", "1\n", "y\n", "3\n"])
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return next(answers)

    caller.answers = answer
    refused = caller.call("init", directory="sales")
    assert refused.code == 2
    assert "Nothing was written." in refused.stderr
    assert not (project / "pyproject.toml").exists()
    done = caller.call("init", directory="sales")
    assert done.code == 0, done.said
    assert table(project) == {"app-mode": "python-fastapi", "entrypoint": "b"}
    assert [question.splitlines()[-1] for question in asked] == [
        "Number: ",
        "Write this? [y/N] ",
    ] * 2
    (project / "pyproject.toml").unlink()
    assert "'3' is not a number from 1 to 2" in caller.call("init", directory="sales").stderr


def test_a_file_that_changes_while_the_person_thinks_is_left_alone(caller: Caller) -> None:
    project = project_of(caller.folder, {**KINDS["flask"][0], "pyproject.toml": PROJECT})

    def answer(_: str) -> str:
        (project / "pyproject.toml").write_text(f"{PROJECT}# mine\n", encoding="utf-8")
        return "y\n"

    caller.answers = answer
    done = caller.call("init", directory="sales")
    assert done.code == 2
    assert "was changed in the meantime" in done.stderr
    assert (project / "pyproject.toml").read_text(encoding="utf-8") == f"{PROJECT}# mine\n"


def test_invoke_is_told_its_line_and_tasks_stay(sandbox: Sandbox, tmp_path: Path) -> None:
    tasks = "from invoke import task\n\n\n@task\ndef hello(c):\n    print('hello')\n"
    project = project_of(tmp_path, {**KINDS["flask"][0], "tasks.py": tasks})
    done = init(sandbox, project)
    assert "Add this line to tasks.py: from invoke_tasks import ns" in done.stderr
    assert "invoke deploy" in done.stderr
    assert (project / "tasks.py").read_text(encoding="utf-8") == tasks
    (project / "pyproject.toml").unlink()
    (project / "tasks.py").write_text("from invoke_tasks import ns\n", encoding="utf-8")
    shown = sandbox.invoke("init", "--dry-run", cwd=project)
    assert shown.code == 0, shown.said
    assert '+app-mode = "python-api"' in shown.stdout
    assert sandbox.invoke("init", "--yes", cwd=project).code == 0
    assert table(project)["app-mode"] == "python-api"


def test_a_manifest_of_r_is_not_taken_for_python(sandbox: Sandbox, tmp_path: Path) -> None:
    manifest = {"version": 1, "metadata": {"appmode": "shiny"}, "files": {}}
    files = {"app.R": "shinyApp(ui, server)\n", "manifest.json": json.dumps(manifest)}
    done = sandbox.connect("init", "--yes", cwd=project_of(tmp_path, files))
    assert done.code == 2
    assert "hatch-connect deploy manifest.json" in done.stderr


def test_a_python_that_is_too_old_is_not_taken_over(sandbox: Sandbox, tmp_path: Path) -> None:
    manifest = {
        "metadata": {"appmode": "python-api", "entrypoint": "app"},
        "python": {"version": "3.7.6"},
    }
    files = {**KINDS["flask"][0], "manifest.json": json.dumps(manifest)}
    project = project_of(tmp_path, files)
    done = init(sandbox, project)
    assert "manifest.json: Python 3.7.6 is too old, and was not taken over." in done.stderr
    assert table(project)["python-version"] != "3.7"


def test_a_table_that_is_there_stays(sandbox: Sandbox, tmp_path: Path) -> None:
    text = '[tool.hatch-connect]\napp-mode = "flask" # mine\n'
    project = project_of(tmp_path, {**KINDS["flask"][0], "pyproject.toml": text})
    done = init(sandbox, project)
    assert "already has [tool.hatch-connect]" in done.stderr
    assert (project / "pyproject.toml").read_text(encoding="utf-8") == text


def test_several_apps_are_listed_and_one_is_named(sandbox: Sandbox, tmp_path: Path) -> None:
    files = {"a.py": FLASK, "b.py": FASTAPI, "requirements.txt": "flask==3.0.0\nfastapi==0.115\n"}
    project = project_of(tmp_path, files)
    asked = sandbox.connect("init", "--yes", cwd=project)
    assert asked.code == 2
    assert "1  python-fastapi  b  (`app` in b.py is made by fastapi.FastAPI)" in asked.stderr
    assert "2  python-api      a  (" in asked.stderr
    init(sandbox, project, "--app-mode", "flask")
    assert table(project)["entrypoint"] == "a"


def test_nothing_that_runs_is_an_error_that_says_how_to_go_on(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    done = sandbox.connect("init", "--yes", cwd=project_of(tmp_path, {"notes.txt": "hello"}))
    assert done.code == 2
    assert "--app-mode fastapi --entrypoint" in done.stderr


GUID = "de2e7bdb-b085-401e-a65c-443e40009749"
OTHER = "0a1b2c3d-b085-401e-a65c-443e40009749"
SCHEMA = "https://cdn.posit.co/publisher/schemas/posit-publishing"


def configuration(kind: str, entrypoint: str, more: str = "") -> str:
    return (
        f"\"$schema\" = '{SCHEMA}-schema-v3.json'\nproduct_type = 'connect'\n"
        f"type = '{kind}'\nentrypoint = '{entrypoint}'\nvalidate = true\n{more}"
    )


def record(url: str, guid: str, name: str, kind: str = "python-flask", more: str = "") -> str:
    return (
        "# This file is automatically generated by Posit Publisher; do not edit.\n"
        f"\"$schema\" = '{SCHEMA}-record-schema-v3.json'\nserver_type = 'connect'\n"
        f"server_url = '{url}'\nid = '{guid}'\ntype = '{kind}'\n"
        f"configuration_name = '{name}'\n{more}"
    )


SALES = configuration(
    "python-flask",
    "app.py",
    """\
title = 'Sales figures'
files = ['/app.py', '/figures.csv', '/requirements.txt', '!*.log']
secrets = ['DATABASE_PASSWORD']

[python]
version = '3.12.3'
package_file = 'requirements.txt'
package_manager = 'pip'

[environment]
API_URL = 'https://example.com/api'

[connect.runtime]
max_processes = 5
""",
)


def published(url: str, guid: str) -> dict[str, str]:
    return {
        "app.py": FLASK,
        "figures.csv": "1\n",
        "requirements.txt": "flask==3.0.0\n",
        ".posit/publish/sales-A1B2.toml": SALES,
        ".posit/publish/deployments/deployment-C3D4.toml": record(url, guid, "sales-A1B2"),
    }


def test_a_team_of_publisher_moves_over_and_updates_its_content(
    sandbox: Sandbox, tmp_path: Path, server: FakeConnect
) -> None:
    content = server.add_content("sales-of-publisher", title="Sales figures")
    project = project_of(tmp_path, published(f"{server.url}/", content.guid))
    told = init(sandbox, project).stderr
    assert f"hatch-connect add --name NAME --server {server.url}\n" in told
    assert f"Deploy to {server.url}: hatch-connect deploy\n" in told
    assert table(project) == {
        "app-mode": "python-api",
        "entrypoint": "app",
        "title": "Sales figures",
        "python-version": "3.12",
        "env": ["DATABASE_PASSWORD", "API_URL=https://example.com/api"],
        "exclude": ["*.log"],
        "server": server.url,
        "guid": content.guid,
        "settings": {"max-processes": 5},
    }
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    done = sandbox.connect("deploy", "--json", cwd=project, **keys, DATABASE_PASSWORD="hunter2")
    assert done.code == 0, done.said
    assert json.loads(done.stdout)["guid"] == content.guid
    assert content.bundle_id


def test_files_that_git_ignores_ship_if_publisher_named_them(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    project = project_of(tmp_path, published("https://connect.example.com", GUID))
    committed(project, sandbox)
    (project / ".gitignore").write_text("*.csv\n", encoding="utf-8")
    sandbox.git("rm", "--cached", "--quiet", "figures.csv", cwd=project)
    init(sandbox, project)
    assert table(project)["include"] == ["/figures.csv"]
    listed = sandbox.connect("bundle", "--list", cwd=project)
    assert listed.code == 0, listed.said
    assert " figures.csv" in listed.stdout


def test_what_remains_to_be_done_is_said(sandbox: Sandbox, tmp_path: Path) -> None:
    text = PROJECT.replace(">=3.11", ">=3.13,<3.14") + 'dependencies = ["flask"]\n'
    project = project_of(tmp_path, {"app.py": FLASK, "pyproject.toml": text})
    done = init(sandbox, project)
    assert table(project)["python-version"] == "3.13"
    assert "Lock the packages: uv lock" in done.stderr
    assert "hatch-connect deploy --local" in done.stderr
    poetry = (
        '[tool.poetry]\nname = "sales"\n[tool.poetry.dependencies]\npython = "^3.12"\nflask = "3"\n'
    )
    files = {"app.py": FLASK, "pyproject.toml": poetry, "poetry.lock": "# a lock\n"}
    project = project_of(tmp_path / "other", files)
    done = init(sandbox, project)
    assert table(project) == {"app-mode": "python-api", "entrypoint": "app"}
    assert "poetry.lock" in done.stderr


def test_content_on_several_servers_is_named_for_each(sandbox: Sandbox, tmp_path: Path) -> None:
    files = published("https://connect.example.com", GUID)
    staging = record("https://staging.example.com/__api__", OTHER, "sales-A1B2")
    files[".posit/publish/deployments/deployment-E5F6.toml"] = staging
    project = project_of(tmp_path, files)
    told = init(sandbox, project).stderr
    url = "https://staging.example.com"
    assert f"Save your API key: hatch-connect add --name staging-example-com --server {url}" in told
    assert "Deploy to staging-example-com: hatch-connect deploy --name staging-example-com" in told
    found = table(project)
    assert "guid" not in found
    assert found["on"] == {
        "connect-example-com": {"server": "https://connect.example.com", "guid": GUID},
        "staging-example-com": {"server": "https://staging.example.com", "guid": OTHER},
    }


def test_a_python_that_nothing_states_is_the_one_deployed_last(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    files = published("https://connect.example.com", GUID)
    files[".posit/publish/sales-A1B2.toml"] = configuration("python-flask", "app.py", "[python]\n")
    copied = "[configuration]\ntype = 'python-flask'\n[configuration.python]\nversion = '3.10.4'\n"
    for name, server in (("C3D4", "connect"), ("E5F6", "staging")):
        files[f".posit/publish/deployments/deployment-{name}.toml"] = record(
            f"https://{server}.example.com", GUID, "sales-A1B2", more=copied
        )
    project = project_of(tmp_path, files)
    told = init(sandbox, project).stderr
    assert 'python-version = "3.10": the version that it was deployed with' in told
    found = table(project)
    assert found["python-version"] == "3.10"
    assert found["on"].keys() == {"connect-example-com", "staging-example-com"}


def test_content_on_one_of_several_servers_is_not_looked_for_on_the_others(
    sandbox: Sandbox, tmp_path: Path, server: FakeConnect
) -> None:
    with FakeConnect() as staging:
        one, two = server.add_content("one"), staging.add_content("two")
        files = published(server.url, one.guid) | {"stock.py": FLASK}
        files[".posit/publish/deployments/two.toml"] = record(staging.url, two.guid, "sales-A1B2")
        only = server.add_content("only")
        text = configuration("python-flask", "stock.py", "[python]\nversion = '3.12'\n")
        files[".posit/publish/stock-Z9Y8.toml"] = text
        files[".posit/publish/deployments/only.toml"] = record(server.url, only.guid, "stock-Z9Y8")
        project = project_of(tmp_path, files)
        for name, fake in (("prod", server), ("staging", staging)):
            words = ("--name", name, "--server", fake.url)
            added = sandbox.connect("add", *words, cwd=project, CONNECT_API_KEY=fake.api_key)
            assert added.code == 0, added.said
        told = init(sandbox, project).stderr
        assert told.index("sales: app-mode") < told.index("stock: app-mode")
        assert "Save your API key" not in told
        stock = table(project)["content"]["stock"]
        assert stock["on"] == {"prod": {"server": server.url, "guid": only.guid}}
        for name in ("staging", "prod"):
            words = ("deploy", "--all", "--name", name)
            done = sandbox.connect(*words, cwd=project, DATABASE_PASSWORD="hunter2")
            assert done.code == 0, done.said
            new = "in [tool.hatch-connect.content.stock.on.staging]." in done.stderr
            assert new == (name == "staging")
        assert all(each.bundle_id for each in (one, two, only))
        assert len(server.contents) == 2
        assert len(staging.contents) == 2


def test_a_guid_of_another_server_is_to_be_written_in_its_table(
    sandbox: Sandbox, tmp_path: Path, server: FakeConnect
) -> None:
    project = project_of(tmp_path, published("https://connect.example.com", GUID))
    init(sandbox, project)
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    done = sandbox.connect("plan", cwd=project, **keys, DATABASE_PASSWORD="hunter2")
    assert done.code == 3, done.said
    assert (
        "set it as `guid` in the table of that server: [tool.hatch-connect.on.NICKNAME]"
        in done.said
    )


def test_saved_servers_keep_their_nicknames(sandbox: Sandbox, tmp_path: Path) -> None:
    urls = ("https://one.example.com", "https://two.example.com:8443", "https://two.example.com")
    store = sandbox.home / ".rsconnect-python" / "servers.json"
    store.parent.mkdir()
    saved = {"name": "prod", "url": urls[0], "api_key": "key-of-nobody"}
    store.write_text(json.dumps({"prod": saved}), encoding="utf-8")
    files = published(urls[0], GUID)
    for number, url in enumerate(urls[1:]):
        files[f".posit/publish/deployments/{number}.toml"] = record(url, OTHER, "sales-A1B2")
    project = project_of(tmp_path, files)
    init(sandbox, project)
    servers = {name: each["server"] for name, each in table(project)["on"].items()}
    assert servers.pop("prod") == urls[0]
    assert servers.keys() == {"two-example-com", "two-example-com-2"}
    assert set(servers.values()) == set(urls[1:])
    assert "key-of-nobody" not in (project / "pyproject.toml").read_text(encoding="utf-8")


def test_two_records_that_differ_leave_the_choice(sandbox: Sandbox, tmp_path: Path) -> None:
    files = published("https://connect.example.com", GUID)
    twin = record("https://connect.example.com/", OTHER, "sales-A1B2")
    files[".posit/publish/deployments/deployment-E5F6.toml"] = twin
    project = project_of(tmp_path, files)
    done = init(sandbox, project)
    assert f"deployment-C3D4.toml ({GUID}) and" in done.stderr
    assert f"deployment-E5F6.toml ({OTHER})" in done.stderr
    assert "guid" not in table(project)


def test_notebooks_of_the_official_client_are_content_each(
    sandbox: Sandbox, tmp_path: Path, server: FakeConnect
) -> None:
    files = {"requirements.txt": "ipykernel==6.29\n", ".python-version": "3.12\n"}
    guids = {}
    for name in ("one", "two"):
        guids[name] = server.add_content(name).guid
        entry = {
            "server_url": server.url,
            "filename": f"C:\\work\\{name}.ipynb",
            "app_guid": guids[name],
            "app_mode": "jupyter-static",
            "title": f"Report {name}",
        }
        files[f"{name}.ipynb"] = NOTEBOOK
        files[f"rsconnect-python/{name}.json"] = json.dumps({server.url: entry})
    project = project_of(tmp_path, files)
    init(sandbox, project)
    contents = table(project)["content"]
    assert {name: each["guid"] for name, each in contents.items()} == guids
    assert contents["two"]["entrypoint"] == "two.ipynb"
    assert deploy(sandbox, project, server, "--content", "two")["guid"] == guids["two"]


def test_configurations_of_one_name_get_a_table_each(sandbox: Sandbox, tmp_path: Path) -> None:
    files = {f"{name}.py": FLASK for name in "ab"} | {"requirements.txt": "flask==3.0.0\n"}
    for name, ending in (("a", "A1B2"), ("b", "C3D4")):
        text = configuration("python-flask", f"{name}.py", "[python]\nversion = '3.12'\n")
        files[f".posit/publish/sales-{ending}.toml"] = text
    project = project_of(tmp_path, files)
    init(sandbox, project)
    contents = table(project)["content"]
    assert {name: each["entrypoint"] for name, each in contents.items()} == {
        "sales": "a",
        "sales-2": "b",
    }


def test_each_configuration_of_other_content_gets_a_table(
    sandbox: Sandbox, tmp_path: Path, server: FakeConnect
) -> None:
    one, two = server.add_content("one"), server.add_content("two")
    files = published(server.url, one.guid)
    files |= {
        "report.ipynb": NOTEBOOK,
        "requirements.txt": "flask==3.0.0\nipykernel==6.29\n",
        ".posit/publish/report-Z9Y8.toml": configuration(
            "jupyter-notebook", "report.ipynb", "[python]\nversion = '3.12.3'\n"
        ),
        ".posit/publish/deployments/deployment-X7W6.toml": record(
            server.url, two.guid, "report-Z9Y8", "jupyter-notebook"
        ),
        ".posit/publish/cloud.toml": configuration("html", "x.html").replace(
            "'connect'", "'connect_cloud'"
        ),
    }
    project = project_of(tmp_path, files)
    init(sandbox, project)
    contents = table(project)["content"]
    assert {name: each["guid"] for name, each in contents.items()} == {
        "sales": one.guid,
        "report": two.guid,
    }
    assert deploy(sandbox, project, server, "--content", "report")["guid"] == two.guid


def test_the_official_client_s_table_record_and_manifest_are_taken_over(
    sandbox: Sandbox, tmp_path: Path, server: FakeConnect
) -> None:
    content = server.add_content("sales-of-rsconnect")
    entry = {
        "server_url": server.url,
        "filename": "/home/ann/work/sales",
        "app_url": f"{server.url}/content/{content.guid}/",
        "app_id": "17",
        "app_guid": content.guid,
        "title": "Sales of Ann",
        "app_mode": "python-fastapi",
        "app_store_version": 1,
    }
    manifest = {
        "version": 1,
        "metadata": {"appmode": "python-fastapi", "entrypoint": "main:api"},
        "python": {"version": "3.12.1", "package_manager": {"name": "pip"}},
        "files": {},
    }
    files = {
        "main.py": FASTAPI.replace("app =", "api ="),
        "requirements.txt": "fastapi==0.115.0\n",
        "manifest.json": json.dumps(manifest),
        "rsconnect-python/work.json": json.dumps({server.url: entry}),
    }
    project = project_of(tmp_path, files)
    init(sandbox, project)
    assert table(project) == {
        "app-mode": "python-fastapi",
        "entrypoint": "main:api",
        "title": "Sales of Ann",
        "python-version": "3.12",
        "server": server.url,
        "guid": content.guid,
    }
    assert deploy(sandbox, project, server)["guid"] == content.guid


def test_a_table_of_rsconnect_is_taken_over(sandbox: Sandbox, tmp_path: Path) -> None:
    text = (
        PROJECT
        + '[tool.rsconnect]\napp_mode = "python-api"\nentrypoint = "app.py"\ntitle = "Sales"\n'
    )
    files = {"pyproject.toml": text, "app.py": FLASK, "requirements.txt": "flask==3.0.0\n"}
    project = project_of(tmp_path, {**files, ".python-version": "3.12\n"})
    init(sandbox, project)
    wanted = {"app-mode": "python-api", "entrypoint": "app", "title": "Sales"}
    assert table(project) == wanted


def test_what_cannot_be_extended_is_printed_to_be_pasted(sandbox: Sandbox, tmp_path: Path) -> None:
    text = 'tool = { hatch-connect-other = 1 }\n[project]\nname = "x"\nversion = "1"\n'
    text = "tool.black = 1\n" + text.partition("\n")[2]
    files = {"pyproject.toml": text.replace("tool.black = 1", "tool = []"), "app.py": FLASK}
    project = project_of(tmp_path, files)
    done = sandbox.connect("init", "--yes", cwd=project)
    assert done.code == 2
    assert 'app-mode = "python-api"' in done.stderr
    assert (project / "pyproject.toml").read_text(encoding="utf-8") == files["pyproject.toml"]


@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_a_workflow_is_written_and_none_is_overwritten(
    sandbox: Sandbox, tmp_path: Path, service: str
) -> None:
    project = project_of(tmp_path, published("https://connect.example.com", GUID))
    (tmp_path / ".git").mkdir()
    init(sandbox, project, "--ci", service)
    path = {"github": ".github/workflows/deploy.yml", "gitlab": ".gitlab-ci.yml"}[service]
    text = (tmp_path / path).read_text(encoding="utf-8")
    assert "CONNECT_SERVER: https://connect.example.com\n" in text
    assert "sales" in text
    (tmp_path / path).write_text("mine\n", encoding="utf-8")
    again = init(sandbox, project, "--ci", service)
    assert "was left unchanged" in again.stderr
    assert text.splitlines() == again.stdout.splitlines()[-len(text.splitlines()) :]
    assert (tmp_path / path).read_text(encoding="utf-8") == "mine\n"


def test_a_workflow_that_cannot_be_written_is_an_error(sandbox: Sandbox, tmp_path: Path) -> None:
    project = project_of(tmp_path, {**KINDS["flask"][0], ".python-version": "3.12\n"})
    (tmp_path / ".git").mkdir()
    (tmp_path / ".github").write_text("a file\n", encoding="utf-8")
    done = sandbox.connect("init", "--yes", "--ci", "github", cwd=project)
    assert done.code == 2
    assert "deploy.yml cannot be written: Not a directory." in done.stderr
    assert "pyproject.toml was written." in done.stderr
    assert {path.name for path in project.iterdir()} >= {"pyproject.toml"}
    assert not list(project.glob(".*.partial"))


BARE = '[tool.hatch-connect]\napp-mode = "flask"\npython-version = "3.12"\n'


def test_records_of_publisher_say_which_content_this_is(
    sandbox: Sandbox, tmp_path: Path, server: FakeConnect
) -> None:
    content = server.add_content("sales-of-publisher")
    server.add_content("sales")  # by whose name it would be found otherwise
    files = {**published(f"{server.url}/__api__/", content.guid), "pyproject.toml": BARE}
    elsewhere = record("https://connect.example.com", OTHER, "sales-A1B2")
    files[".posit/publish/deployments/deployment-E5F6.toml"] = elsewhere
    project = project_of(tmp_path, files)
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    info = sandbox.connect("info", "--json", cwd=project, **keys)
    assert info.code == 0, info.said
    found = json.loads(info.stdout)
    assert found["guid"] == content.guid
    assert found["because"] == "the record .posit/publish/deployments/deployment-C3D4.toml"
    assert deploy(sandbox, project, server)["guid"] == content.guid
    assert deploy(sandbox, project, server, "--new")["guid"] != content.guid


def test_content_of_a_record_of_publisher_that_is_gone_is_looked_for_by_name(
    sandbox: Sandbox, tmp_path: Path, server: FakeConnect
) -> None:
    content = server.add_content("sales")
    project = project_of(tmp_path, {**published(server.url, GUID), "pyproject.toml": BARE})
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    done = sandbox.connect("deploy", "--json", cwd=project, **keys)
    assert done.code == 0, done.said
    assert f"Content {GUID} (from " in done.stderr
    assert "deployment-C3D4.toml) does not exist" in done.stderr
    assert json.loads(done.stdout)["guid"] == content.guid


def test_records_of_publisher_that_differ_are_both_named(
    sandbox: Sandbox, tmp_path: Path, server: FakeConnect
) -> None:
    files = {**published(server.url, GUID), "pyproject.toml": BARE}
    files[".posit/publish/deployments/deployment-E5F6.toml"] = record(
        server.url, OTHER, "sales-A1B2"
    )
    project = project_of(tmp_path, files)
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    done = sandbox.connect("deploy", cwd=project, **keys)
    assert done.code == 2
    assert f"{GUID}  .posit/publish/deployments/deployment-C3D4.toml" in done.stderr
    assert f"{OTHER}  .posit/publish/deployments/deployment-E5F6.toml" in done.stderr
    assert not server.contents


def test_each_piece_of_content_has_the_record_of_its_own_entrypoint(
    sandbox: Sandbox, tmp_path: Path, server: FakeConnect
) -> None:
    one, two = server.add_content("one"), server.add_content("two")
    files = {
        "pyproject.toml": BARE
        + '[tool.hatch-connect.content.a]\nentrypoint = "a:app"\n'
        + '[tool.hatch-connect.content.b]\nentrypoint = "b"\n'
        + '[tool.hatch-connect.content.c]\nentrypoint = "c"\n',
        **{f"{name}.py": FLASK for name in "abc"},
        "requirements.txt": "flask==3.0.0\n",
    }
    for name, content in (("a", one), ("b", two)):
        snapshot = f"[configuration]\ntype = 'python-flask'\nentrypoint = '{name}.py'\n"
        files[f".posit/publish/deployments/{name}.toml"] = record(
            server.url, content.guid, name, more=snapshot
        )
    project = project_of(tmp_path, files)
    assert deploy(sandbox, project, server, "--content", "a")["guid"] == one.guid
    assert deploy(sandbox, project, server, "--content", "b")["guid"] == two.guid
    assert deploy(sandbox, project, server, "--content", "c")["created"]


def test_a_broken_record_of_publisher_is_mentioned(
    sandbox: Sandbox, tmp_path: Path, server: FakeConnect
) -> None:
    files = {**published(server.url, GUID), "pyproject.toml": BARE}
    files[".posit/publish/deployments/deployment-C3D4.toml"] = "id = \n"
    project = project_of(tmp_path, files)
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    done = sandbox.connect("deploy", cwd=project, **keys)
    assert done.code == 0, done.said
    assert "deployment-C3D4.toml" in done.stderr
