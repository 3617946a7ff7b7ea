"""What the official clients (rsconnect-python, posit-sdk) write and read, where they are there."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from support.sandbox import Sandbox

IS_INSTALLED = find_spec("rsconnect") is not None
SDK_IS_INSTALLED = find_spec("posit") is not None

COMMANDS: dict[str, tuple[str, ...]] = {
    "flask-api": ("flask",),
    "starlette-api": ("fastapi",),
    "dash-app": ("dash",),
    "streamlit-app": ("streamlit",),
    "bokeh-app": ("bokeh",),
    "bokeh-folder": ("bokeh",),
    "shiny-core": ("shiny",),
    "shiny-express": ("shiny",),
    "gradio-app": ("gradio", "--entrypoint", "app:demo"),
    "fastapi-api": ("fastapi", "--entrypoint", "main:api"),
    "panel-app": ("panel",),
    "notebook": ("notebook", "--hide-tagged-input", "report.ipynb"),
    "voila-notebook": ("voila",),
    "voila-folder": ("voila", "--multi-notebook"),
    "tensorflow-model": ("tensorflow",),
    "quarto-document": ("quarto", "report.qmd"),
    "quarto-python": ("quarto", "report.qmd"),
    "quarto-site": ("quarto",),
}
"""The words after `rsconnect write-manifest`; a last one that is no option is a file."""

# `deploy html` and `deploy notebook --static` have no such command: this asks what they ask.
_HTML = """
import sys, tarfile
from rsconnect.bundle import make_html_bundle, make_notebook_html_bundle
kind, path, fake = sys.argv[1:]
if kind == "html":
    bundle = make_html_bundle(path, None, [], [])
else:
    bundle = make_notebook_html_bundle(path, fake, False, False, lambda _: b"<p>rendered</p>")
with tarfile.open(fileobj=bundle) as archive:
    print(archive.extractfile("manifest.json").read().decode())
"""
HTML = {
    "html-file": ("html", "page.html"),
    "html-folder": ("html", "."),
    "html-site": ("html", "site"),
    "notebook-static": ("notebook", "report.ipynb"),
}


def official_manifest(name: str, root: Path, sandbox: Sandbox, path: str = "") -> dict[str, Any]:
    """Give the manifest of a copy of one of tests/projects; `path` begins the PATH."""
    environ = {"PATH": f"{path}:{sandbox.environ['PATH']}"} if path else {}
    if name in HTML:
        kind, target = HTML[name]
        done = sandbox.python("-c", _HTML, kind, root / target, "python", cwd=root, **environ)
        assert done.code == 0, done.said
        return dict(json.loads(done.stdout))
    command, *words = COMMANDS[name]
    target = words.pop() if words and "." in words[-1] else ""
    done = sandbox.run(
        *(sys.executable, "-m", "rsconnect.main", "write-manifest", command),
        *("--overwrite", *words, f"{root}/{target}"),
        cwd=root,
        **environ,
    )
    assert done.code == 0, done.said
    return dict(json.loads((root / "manifest.json").read_text("utf-8")))


_READ = """
import json, sys
from posit.connect import Client
url, key, guid = sys.argv[1:]
client = Client(url, key)
content = client.content.get(guid)
names = {"user": lambda g: client.users.get(g)["username"], "group": lambda g: "group:" + next(
    one["name"] for one in client.groups.find() if one["guid"] == g)}
print(json.dumps({
    "fields": {name: content.get(name) for name in json.loads(sys.stdin.read())},
    "permissions": sorted(
        [names[p["principal_type"]](p["principal_guid"]), p["role"]]
        for p in content.permissions.find()
    ),
    "tags": sorted(tag["name"] for tag in content.tags.find()),
    "vanity_path": content.find_vanity()["path"],
    "integrations": [a["oauth_integration_name"] for a in content.oauth.associations.find()],
}))
"""


def read_with_sdk(url: str, key: str, guid: str, fields: Iterable[str]) -> dict[str, Any]:
    """Return what posit-sdk reads of content: these fields, and what else can be declared."""
    done = subprocess.run(
        (sys.executable, "-c", _READ, url, key, guid),
        input=json.dumps(list(fields)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))
