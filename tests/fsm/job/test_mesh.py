"""What services in the mesh imply (spec job-model §5.5.3, §4.1)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fsm.job.test_admission import VIEW
from yurt.fsm.errors import Refusal
from yurt.fsm.job.admit import Limits, admit, prepare
from yurt.fsm.job.decode import decode_body
from yurt.fsm.job.equal import same_specification
from yurt.fsm.job.requests import RegisterRequest
from yurt.fsm.structs.base import to_json
from yurt.fsm.structs.job import Job

SECOND = 10**9
CHECK = {"Name": "c", "Type": "http", "Path": "/health", "Interval": SECOND, "Timeout": SECOND, "Expose": True}


def body(job: dict[str, Any]) -> dict[str, Any]:
    return dict(decode_body(json.dumps({"Job": job}).encode(), RegisterRequest)["Job"])


def mesh(service: dict[str, Any], **group: Any) -> Job:
    fields = {
        "Name": "g", "Networks": [{"Mode": "bridge", "DynamicPorts": [{"Label": "web", "To": 80}]}],
        "Tasks": [{"Name": "t", "Driver": "d"}], **group,
    }  # fmt: skip
    job = {"ID": "j", "TaskGroups": [{**fields, "Services": [{"Name": "api", "PortLabel": "web", **service}]}]}
    return admit(body(job), reader=VIEW, namespace="default", region="global", limits=Limits()).job


def again(job: Job) -> Job:
    read = json.loads(to_json(job))
    return admit(body(read), reader=VIEW, namespace="default", region="global", limits=Limits()).job


def test_a_sidecar_brings_a_task_and_a_port() -> None:
    job = mesh({"Connect": {"SidecarService": {}}})
    read = json.loads(to_json(job))["TaskGroups"][0]
    assert read["Networks"][0]["DynamicPorts"] == [
        {"Label": "web", "To": 80, "HostNetwork": "default"},
        {"Label": "connect-proxy-api", "To": -1, "HostNetwork": "default"},
    ]
    assert [task["Name"] for task in read["Tasks"]] == ["t", "connect-proxy-api"]
    task = read["Tasks"][1]
    assert (task["Driver"], task["Kind"], task["ShutdownDelay"]) == ("docker", "connect-proxy:api", 5 * SECOND)
    assert task["Lifecycle"] == {"Hook": "prestart", "Sidecar": True}
    assert task["LogConfig"] == {"MaxFiles": 2, "MaxFileSizeMB": 2, "Disabled": False}
    assert (task["Resources"]["CPU"], task["Resources"]["MemoryMB"]) == (250, 128)
    assert task["Config"]["image"] == "${meta.connect.sidecar_image}"
    assert task["Constraints"] == [
        {"LTarget": "${attr.consul.version}", "Operand": "semver", "RTarget": ">= 1.8.0"},
        {"LTarget": "${attr.consul.grpc}", "Operand": ">", "RTarget": "0"},
    ]
    assert same_specification(job, again(job))


def test_a_user_may_change_the_sidecars_task() -> None:
    own = {"Name": "envoy", "Config": {"image": "x"}, "Env": {"a": "b"}, "KillTimeout": SECOND, "KillSignal": "SIGINT"}
    job = mesh({"Connect": {"SidecarService": {}, "SidecarTask": own}})
    task = (job.task_groups or ())[0].tasks[1]  # type: ignore[index]
    assert (task.name, task.kill_timeout, task.kill_signal, task.env) == ("envoy", SECOND, "SIGINT", {"a": "b"})
    assert task.config is not None and task.config["image"] == "x" and "args" in task.config
    assert task.resources is not None and (task.resources.cpu, task.resources.memory_mb) == (100, 300)
    assert task.shutdown_delay == 0
    assert same_specification(job, again(job))
    other = mesh({"Connect": {"SidecarService": {}, "SidecarTask": {"Driver": "exec", "Config": {"command": "e"}}}})
    task = (other.task_groups or ())[0].tasks[1]  # type: ignore[index]
    assert (task.driver, task.config) == ("exec", {"command": "e"})


@pytest.mark.parametrize("kind", ["Ingress", "Terminating", "Mesh"])
def test_a_gateway_brings_its_task(kind: str) -> None:
    job = mesh({"Connect": {"Gateway": {kind: {}}}}, Tasks=None, Networks=[{"Mode": "host"}])
    (task,) = (job.task_groups or ())[0].tasks or ()
    assert task.name == f"connect-{kind.lower()}-api" and task.kind == f"connect-{kind.lower()}:api"
    assert task.lifecycle is None and task.config is not None
    assert task.config["image"] == "${meta.connect.gateway_image}"
    assert same_specification(job, again(job))


def test_a_native_service_brings_nothing() -> None:
    job = mesh({"Connect": {"Native": True}})
    assert len((job.task_groups or ())[0].tasks or ()) == 1


def test_an_exposed_check_brings_a_path_and_a_port() -> None:
    job = mesh({"Connect": {"SidecarService": {}}, "Checks": [CHECK, {**CHECK, "Name": "d", "PortLabel": "web"}]})
    group = (job.task_groups or ())[0]
    (service,) = group.services or ()
    label = (service.checks or ())[0].port_label
    assert label.startswith("svc_api_ck_")
    sidecar = service.connect.sidecar_service if service.connect else None
    assert sidecar is not None and sidecar.proxy is not None and sidecar.proxy.expose is not None
    paths = [(path.path, path.local_path_port, path.listener_port) for path in sidecar.proxy.expose.paths or ()]
    assert paths == [("/health", 80, label), ("/health", 80, "web")]
    (network,) = group.networks or ()
    assert {(port.label, port.to) for port in network.dynamic_ports or ()} == {
        ("web", 80), ("connect-proxy-api", -1), (label, -1),
    }  # fmt: skip
    assert same_specification(job, again(job))


def test_an_exposed_check_of_a_port_that_nobody_knows() -> None:
    with pytest.raises(Refusal) as caught:
        mesh({"Name": "api", "PortLabel": "gone", "Connect": {"SidecarService": {}}, "Checks": [CHECK]})
    text = "error in job mutator expose-check: unable to determine local service port for service check g->api->c"
    assert (caught.value.status, caught.value.text) == (500, text)
    known = mesh({"PortLabel": "8080", "Connect": {"SidecarService": {}}, "Checks": [CHECK]})
    (service,) = (known.task_groups or ())[0].services or ()
    assert service.connect is not None and service.connect.sidecar_service is not None
    proxy = service.connect.sidecar_service.proxy
    assert proxy is not None and proxy.expose is not None
    assert [path.local_path_port for path in proxy.expose.paths or ()] == [8080]


def test_a_transparent_proxy_needs_its_plugin() -> None:
    job = mesh({"Connect": {"SidecarService": {"Proxy": {"TransparentProxy": {}}}}})
    wanted = {(one.ltarget, one.rtarget) for one in (job.task_groups or ())[0].constraints or ()}
    assert ("${attr.plugins.cni.version.consul-cni}", ">= 1.4.2") in wanted
    assert ("${attr.nomad.version}", ">= 1.8.0-dev") in wanted


def test_jobs_of_several_regions() -> None:
    job = {"ID": "j", "Multiregion": {"Regions": [{"Name": "global"}]}, "TaskGroups": [{"Name": "g", "Tasks": [{"Name": "t", "Driver": "d"}]}]}  # fmt: skip
    with pytest.raises(Refusal) as caught:
        admit(body(job), reader=VIEW, namespace="default", region="global", limits=Limits())
    assert caught.value.text == "1 error occurred:\n\t* Multiregion jobs are unlicensed.\n\n"
    with pytest.raises(Refusal, match="No path to region"):
        prepare(body(job), namespace="default", region="eu", limits=Limits())
