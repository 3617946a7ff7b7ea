"""The fields of answers, and their types, are those of Connect's API reference."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from support.connect_content import NBCONVERT, brings, bundle_of

if TYPE_CHECKING:
    from support.local_api import Api

# After the name: s for a string, t for a time, u for a UUID, i, n, b and o for a whole number,
# another, a boolean and an object; "?" if it can be null; "-" if it need not be there.
_FIELDS = {
    "content": """guid:u name:s title:s? description:s access_type:s locked:b locked_message:s
        connection_timeout:i? read_timeout:i? init_timeout:i? idle_timeout:i? max_processes:i?
        min_processes:i? max_conns_per_process:i? load_factor:n? memory_request:i? memory_limit:i?
        cpu_request:n? cpu_limit:n? amd_gpu_limit:i? nvidia_gpu_limit:i? service_account_name:s?
        default_image_name:s? default_environment_guid:u? created_time:t last_deployed_time:t
        bundle_id:s? app_mode:s content_category:s parameterized:b environment_guid:u?
        cluster_name:s? image_name:s? r_version:s? py_version:s? quarto_version:s? node_version:s?
        r_environment_management:b? default_r_environment_management:b?
        py_environment_management:b? default_py_environment_management:b? run_as:s?
        run_as_current_user:b metrics_collection_enabled:b? notify_on_share:b? otel_enabled:b
        owner_guid:u content_url:s dashboard_url:s vanity_url:s- app_role:s id:s
        public_content_status:s?""",
    "bundle": """id:s content_guid:u created_by:u? created_time:t environment_guid:u?
        cluster_name:s? image_name:s? r_version:s? r_environment_management:b? py_version:s?
        py_environment_management:b? quarto_version:s? active:b size:i metadata:o""",
    "job": """id:s ppid:s? pid:s key:s remote_id:s? app_id:s content_id:s content_guid:u
        variant_id:s variant_key:s bundle_id:s start_time:t end_time:t? last_heartbeat_time:t?
        queued_time:t? queue_name:s? tag:s exit_code:i? error:s? status:i hostname:s? cluster:s?
        image:s? run_as:s? skip_reason:s?""",
    "kill": """guid:u app_id:i app_guid:u content_id:s content_guid:u job_id:i job_key:s
        result:s""",
    "package": """language:s language_version:s name:s version:s hash:s? bundle_id:s app_id:s
        app_guid:u content_id:s content_guid:u""",
    "environment": """id:s guid:u created_time:t updated_time:t title:s? description:s?
        cluster_name:s name:s environment_type:s matching:s supervisor:s? managed_by:s? python:o
        nodejs:o quarto:o r:o tensorflow:o volume_mounts:l""",
    "user": """email:s username:s first_name:s last_name:s user_role:s created_time:t
        updated_time:t active_time:t? confirmed:b locked:b guid:u""",
    "group": "guid:u name:s owner_guid:u? member_count:i",
    "permission": "id:s content_guid:u principal_guid:u principal_type:s role:s",
    "tag": "id:s name:s parent_id:s? created_time:t updated_time:t",
    "vanity": "content_guid:u path:s created_time:t",
    "integration": """id:s guid:u created_time:t updated_time:t name:s? description:s? template:s?
        auth_type:s? config:o permissions:l environment_variables:l content_count:i-""",
    "association": """app_guid:u content_guid:u oauth_integration_guid:u oauth_integration_name:s?
        oauth_integration_description:s? oauth_integration_template:s?
        oauth_integration_auth_type:s? created_time:t""",
    "variant": """id:i app_id:i key:s bundle_id:i is_default:b name:s email_collaborators:b
        email_viewers:b email_all:b created_time:t rendering_id:i render_time:t
        render_duration:i visibility:s owner_id:i""",
}
_JSON = {"i": int, "n": int | float, "b": bool, "o": dict, "l": list}


def _check(kind: str, told: dict[str, Any]) -> None:
    fields = dict(each.split(":") for each in _FIELDS[kind].split())
    assert told.keys() <= fields.keys()
    assert told.keys() >= {name for name, shape in fields.items() if not shape.endswith("-")}
    for name, value in told.items():
        shape = fields[name]
        if value is None:
            assert shape.endswith("?"), name
        elif shape[0] == "t":
            assert datetime.fromisoformat(value).tzinfo, name
        elif shape[0] == "u":
            assert str(UUID(value)) == value, name
        else:
            assert isinstance(value, _JSON.get(shape[0], str)), (name, value)
            assert shape[0] == "b" or not isinstance(value, bool), name


@pytest.mark.parametrize("rendered", [False, True], ids=("app", "rendered"))
def test_what_there_is_of_content(api: Api, *, rendered: bool) -> None:
    metadata = {"appmode": "jupyter-static", "entrypoint": "report.ipynb"}
    files = {"report.ipynb": b"a notebook", **brings(nbconvert=NBCONVERT)}
    guid = api.ship(bundle_of(files, metadata=metadata) if rendered else None)
    path = f"v1/content/{guid}"
    api.visit(guid)
    content = api.ask("GET", path)

    _check("content", content)
    assert "vanity_url" not in api.ask("GET", path, params={"include": "vanity_url"})
    _check("vanity", api.ask("PUT", f"{path}/vanity", json={"path": f"/{guid}/"}))
    _check("content", api.ask("GET", path, params={"include": "vanity_url"}))
    _check("bundle", api.ask("GET", f"{path}/bundles")[0])
    for package in api.ask("GET", f"{path}/packages"):
        _check("package", package)
    for variant in api.ask("GET", f"applications/{guid}/variants"):  # as official clients know it
        _check("variant", variant)
    jobs = api.ask("GET", f"{path}/jobs")
    assert jobs
    for job in jobs:
        _check("job", job)
        assert job["variant_key"] == ("default" if rendered else "")
        if job["status"] == 0:
            _check("kill", api.ask("DELETE", f"{path}/jobs/{job['key']}"))


def test_what_there_is_of_the_server(api: Api, ann: Api) -> None:
    path = f"v1/content/{api.create()}"
    tag = api.ask("POST", "v1/tags", json={"name": path})
    user = ann.ask("GET", "v1/user")["guid"]
    grant = {"principal_guid": user, "principal_type": "user", "role": "viewer"}

    api.ask("PUT", "__local__/known", 204, json={"integrations": ["of the reference"]})
    integrations = "v1/oauth/integrations"
    one = api.ask("GET", integrations)[-1]
    chosen = [{"oauth_integration_guid": one["guid"]}]
    api.ask("PUT", f"{path}/oauth/integrations/associations", 204, json=chosen)

    _check("association", api.ask("GET", f"{integrations}/{one['guid']}/associations")[0])
    _check("integration", one)
    counted = api.ask("GET", f"{integrations}/{one['guid']}")
    assert counted == {**one, "content_count": 1}
    assert "content_count" not in ann.ask("GET", f"{integrations}/{one['guid']}")
    _check("tag", tag)
    _check("permission", api.ask("POST", f"{path}/permissions", json=grant))
    _check("environment", api.ask("GET", "v1/environments")[0])
    for kind in ("user", "group"):
        for each in api.ask("GET", f"v1/{kind}s")["results"]:
            _check(kind, each)
