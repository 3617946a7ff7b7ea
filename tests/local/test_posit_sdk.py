"""What posit-sdk does with content, people, tags and the server, unmodified."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from support.connect_content import NBCONVERT, PYTHON, brings, bundle_of

if TYPE_CHECKING:
    from pathlib import Path

    from support.local_api import Api

pytestmark = pytest.mark.registry

_BEGIN = """
import io, sys, warnings
warnings.simplefilter("ignore")
from posit.connect import Client
from posit.connect.errors import ClientError
client = Client(*sys.argv[1:3])

def refused(call):
    try:
        call()
    except ClientError as error:
        assert "is not part of the local server" in error.error_message, error
        assert (error.http_status, error.error_code) == (404, 4), error
    else:
        raise AssertionError
"""

CONTENT = """
shipped = client.content.get(sys.argv[3])
content = client.content.create(name="by-the-sdk", title="By the SDK")
assert client.content.find_one(name="by-the-sdk")["guid"] == content["guid"]
assert client.content.find_by(title="By the SDK")["guid"] == content["guid"]
(found,) = client.content.find(name="by-the-sdk", include=["owner", "tags", "vanity_url"])
assert found.owner["username"] == content.owner["username"] == "local"
assert client.content.count() >= 2
assert content["guid"] in [each["guid"] for each in client.me.content.find()]
content.update(title="Changed", access_type="logged_in", init_timeout=30)
assert content["title"] == "Changed"
variables = content.environment_variables
variables.create("A", "1")
variables["B"] = "2"
assert variables.find() == ["A", "B"]
variables.delete("A")
variables.clear()
assert len(variables) == 0

archive = io.BytesIO()
shipped.bundles.active().download(archive)
bundle = content.bundles.create(archive.getvalue())
assert content.bundles.get(bundle["id"])["size"] == len(archive.getvalue())
task = bundle.deploy()
task.wait_for()
assert (task.error_code, task.error_message) == (0, "")
assert client.tasks.get(task["id"]).is_finished
content.deploy().wait_for()
assert content.bundles.find_one()["active"]
content.restart()
job = content.jobs.find_by(status=0)
assert content.jobs.find(job["key"])["tag"] == job["tag"]
assert len(content.jobs) >= 1
job.destroy()
assert content.get_lockfile().python_version == PYTHON
assert list(content.packages.fetch()) == []
assert isinstance(client.packages.find_by(name="no such package"), type(None))
assert content.repository is None
refused(lambda: content.create_repository(repository="https://git.example/one"))

assert content.vanity is None
content.vanity = "/by/the/sdk/"
assert content.find_vanity()["path"] == "/by/the/sdk/"
assert "/by/the/sdk/" in [each["path"] for each in client.vanities.all()]
content.create_vanity(path="/by/the/sdk/", force=True)
del content.vanity
assert content.vanity is None
content.delete()
assert client.content.find_one(name="by-the-sdk") is None
"""

PEOPLE = """
ann = client.users.find_one(prefix="ann")
assert client.users.get(ann["guid"])["user_role"] == "publisher"
assert {"local", "ann", "bob"} <= {each["username"] for each in client.users.find()}
assert client.users.count() >= 3
assert "analysts" in [group["name"] for group in ann.groups.find()]
group = client.groups.create(name="by the sdk", unique_id="by the sdk")
group.members.add(user_guid=ann["guid"])
assert group.members.count() == 1
assert group.members.find()[0]["username"] == "ann"
group.members.delete(user_guid=ann["guid"])

content = client.content.create(name="people-by-the-sdk")
granted = content.permissions.create(
    principal_guid=ann["guid"], principal_type="user", role="viewer"
)
granted.update(role="owner")
assert content.permissions.get(granted["id"])["role"] == "owner"
content.permissions.create(group, role="viewer")
assert content.permissions.count() == 2
granted.destroy()
content.permissions.destroy(group)
assert content.permissions.find() == []
group.delete()
content.delete()
"""

TAGS = """
category = client.tags.create(name="By the SDK")
tag = client.tags.create(name="Tag", parent=category)
below = client.tags.create(name="Below", parent_id=tag["id"])
assert client.tags.get(tag["id"]) == client.tags.find(name="Tag", parent=category)[0]
assert [each["name"] for each in category.child_tags.find()] == ["Tag"]
assert [each["name"] for each in category.descendant_tags.find()] == ["Tag", "Below"]
content = client.content.create(name="tags-by-the-sdk")
content.tags.add(below)
assert [each["name"] for each in content.tags.find()] == ["By the SDK", "Tag", "Below"]
assert [each["guid"] for each in tag.content_items.find()] == [content["guid"]]
below.update(name="Renamed", parent=category)
content.tags.delete(below)
category.destroy()
assert client.tags.find(name="Tag") == []
content.delete()
"""

SERVER = """
rendered = client.content.get(sys.argv[3])
rendered.render().wait_for()
(here,) = client.environments.fetch()
assert client.environments.find(here["guid"])["name"] == "Local"
(cache,) = [c for c in client.system.caches.runtime.find() if c["version"] == PYTHON]
assert cache.destroy(dry_run=True) is None
assert rendered.oauth.associations.find() == []
rendered.oauth.associations.update([])
client.oauth.integrations.find()
refused(lambda: client.oauth.sessions.find())
refused(lambda: client.metrics.usage.find())
refused(lambda: client.environments.create(title="x", name="y", cluster_name="Kubernetes"))
"""


@pytest.mark.parametrize(
    "script", [CONTENT, PEOPLE, TAGS, SERVER], ids=("content", "people", "tags", "server")
)
def test_posit_sdk(api: Api, clients: Path, script: str) -> None:
    files = {"report.ipynb": b"a notebook", **brings(nbconvert=NBCONVERT)}
    metadata = {"appmode": "jupyter-static", "entrypoint": "report.ipynb"}
    guid = api.ship(bundle_of(files, metadata=metadata) if script is SERVER else None)
    key = api.server.api_key.reveal()
    program = f"{_BEGIN}PYTHON = {PYTHON!r}\n{script}"

    done = subprocess.run(
        (clients / "python", "-c", program, api.server.url, key, guid),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
