"""Something of everything, put into a server."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from tests.server.http.guarded import UNKNOWN
from tests.server.http.rare_job import rare

if TYPE_CHECKING:
    from tests.server.http.everything import Everything

HCL = 'job "parsed" {\n  group "g" {\n    task "t" {\n      driver = "mock_driver"\n    }\n  }\n}\n'
NOWHERE = [{"LTarget": "${attr.kernel.name}", "RTarget": "plan9", "Operand": "="}]


def task(name: str = "t", run_for: str = "1h", **fields: Any) -> dict[str, Any]:
    resources = {"CPU": 10, "MemoryMB": 10, "MemoryMaxMB": 20}
    return {"Name": name, "Driver": "mock_driver", "Config": {"run_for": run_for}, "Resources": resources, **fields}


def job(name: str, *tasks: dict[str, Any], group: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    own = {"Name": "g", "Count": 1, "Tasks": list(tasks) or [task()], **(group or {})}
    return {"ID": name, "Datacenters": ["dc1"], "TaskGroups": [own], **fields}


def web(version: str) -> dict[str, Any]:
    """A service with most that a job can have."""
    condition = {"LTarget": "${attr.kernel.name}", "RTarget": "linux", "Operand": "="}
    spread = {"Attribute": "${node.datacenter}", "Weight": 50, "SpreadTarget": [{"Value": "dc1", "Percent": 100}]}
    check = {"Type": "tcp", "Interval": 2_000_000_000, "Timeout": 1_000_000_000, "CheckRestart": {"Limit": 3}}
    service = {
        "Name": "web",
        "PortLabel": "http",
        "Provider": "nomad",
        "Tags": ["a"],
        "Checks": [{"Name": "c", **check}],
    }
    main = task(
        Env={"VERSION": version}, Meta={"a": "b"}, Actions=[{"Name": "ask", "Command": "true", "Args": ["x"]}],
        Templates=[{"EmbeddedTmpl": "x", "DestPath": "local/x"}], Identities=[{"Name": "other", "Audience": ["x"]}],
        Constraints=[condition], Affinities=[{**condition, "Weight": 10}],
        RestartPolicy={"Attempts": 1, "Interval": 10**10, "Delay": 10**9, "Mode": "fail"},
    )  # fmt: skip
    side = task("side", Lifecycle={"Hook": "prestart", "Sidecar": True})
    main["Services"] = [{"Name": "task", "PortLabel": "http", "Provider": "nomad", "Checks": [{"Name": "t", **check}]}]
    group = {
        "Count": 2, "Services": [service], "Spreads": [spread], "Meta": {"g": "1"}, "MaxRunDuration": None,
        "Networks": [{"Mode": "host", "DynamicPorts": [{"Label": "http"}]}],
        "Scaling": {"Min": 0, "Max": 5, "Policy": {"x": 1}}, "Disconnect": {"LostAfter": 10**12},
        "Update": {"MaxParallel": 1, "Canary": 1, "HealthCheck": "task_states", "MinHealthyTime": 10**7},
    }  # fmt: skip
    links = {"Description": "d", "Links": [{"Label": "l", "URL": "https://example.org"}]}
    return job("web", main, side, group=group, Meta={"m": "1"}, UI=links, Constraints=[condition], Spreads=[spread])


def fill(every: Everything) -> dict[str, str]:
    """Put something of everything into the server; the names for what `questions` asks."""
    names = {"node": every.wait("/v1/nodes", lambda rows: rows and rows[0]["Status"] == "ready")[0]["ID"]}
    _access(every, names)
    _spaces(every)
    _jobs(every, names)
    _variables(every)
    _foreign_node(every, names)
    _operators(every, names)
    return names


def _access(every: Everything, names: dict[str, str]) -> None:
    rules = 'namespace "default" {\n  policy = "read"\n  variables {\n    path "a/*" {\n      capabilities = ["read"]\n    }\n  }\n}\nnode {\n  policy = "write"\n}\nnode_pool "*" {\n  policy = "read"\n}\nhost_volume "*" {\n  policy = "read"\n}\noperator {\n  policy = "read"\n}\n'
    for name, link in (("readers", None), ("workers", {"Namespace": "default", "JobID": "web"})):
        policy = {"Name": name, "Description": "d", "Rules": rules, "JobACL": link}
        every.do("PUT", f"/v1/acl/policy/{name}", policy)
    role = every.do("PUT", "/v1/acl/role", {"Name": "r", "Policies": [{"Name": "readers"}]})
    every.do("PUT", f"/v1/acl/role/{role['ID']}", {**role, "Description": "changed"})
    given = {"Type": "client", "Name": "t", "Roles": [{"ID": role["ID"]}], "ExpirationTTL": "1h"}
    token = every.do("PUT", "/v1/acl/token", given)
    every.do("PUT", f"/v1/acl/token/{token['AccessorID']}", {**token, "Name": "changed"})
    every.do("GET", "/v1/acl/policy/self", secret=token["SecretID"])
    every.do("GET", "/v1/acl/token/self", secret="")
    once = every.do("PUT", "/v1/acl/token/onetime", secret=token["SecretID"])["OneTimeToken"]
    every.do("PUT", "/v1/acl/token/onetime/exchange", {"OneTimeSecretID": once["OneTimeSecretID"]})
    names |= {"role": role["ID"], "accessor": token["AccessorID"]}
    gone = every.do("PUT", "/v1/acl/token", {"Type": "client", "Policies": ["readers"]})
    every.do("DELETE", f"/v1/acl/token/{gone['AccessorID']}")
    gone = every.do("PUT", "/v1/acl/role", {"Name": "gone", "Policies": [{"Name": "readers"}]})
    every.do("DELETE", f"/v1/acl/role/{gone['ID']}")
    every.do("PUT", "/v1/acl/policy/gone", {"Name": "gone", "Rules": rules})
    every.do("DELETE", "/v1/acl/policy/gone")


def _spaces(every: Everything) -> None:
    every.do("PUT", "/v1/namespace", {"Name": "gone"})
    every.do("DELETE", "/v1/namespace/gone")
    space = {"Name": "apps", "Meta": {"a": "b"}, "Capabilities": {"DisabledTaskDrivers": ["exec"]}}
    every.do("PUT", "/v1/namespace/apps", space)
    every.do("PUT", "/v1/node/pools", {"Name": "gone"})
    every.do("DELETE", "/v1/node/pool/gone")
    every.do("PUT", "/v1/node/pool/fast", {"Name": "fast", "Description": "d", "Meta": {"a": "b"}})


def _jobs(every: Everything, names: dict[str, str]) -> None:
    source = {"Source": HCL, "Format": "hcl2", "Variables": "", "VariableFlags": {"a": "b"}}
    every.do("PUT", "/v1/jobs/parse", {"JobHCL": HCL})
    every.do("PUT", "/v1/jobs/parse", {"JobHCL": HCL, "Canonicalize": True})
    every.do("PUT", "/v1/validate/job", {"Job": web("1")})
    every.do("PUT", "/v1/validate/job", {"Job": job("wrong", group={"Count": -1})})
    every.do("PUT", "/v1/job/web/plan", {"Job": web("1"), "Diff": True})
    every.do("PUT", "/v1/jobs", {"Job": web("1"), "Submission": source})
    every.wait("/v1/job/web/deployment", lambda found: found["Status"] == "successful")
    every.wait("/v1/job/web/services", lambda rows: len(rows) >= 2)
    every.do("PUT", "/v1/job/web/plan", {"Job": web("2"), "Diff": True})
    every.do("PUT", "/v1/job/web/plan", {"Job": job("web", Constraints=NOWHERE)})
    every.do("PUT", "/v1/job/web", {"Job": web("2")})
    newest = every.wait("/v1/job/web/deployment", lambda found: found["TaskGroups"]["g"]["HealthyAllocs"] == 1)
    _deployment(every, newest["ID"])
    every.do("PUT", "/v1/job/web/versions/first/tag", {"Version": 0, "Description": "d"})
    every.do("PUT", "/v1/job/web/versions/other/tag", {"Latest": True})
    every.do("DELETE", "/v1/job/web/versions/other/tag")
    every.do("PUT", "/v1/job/web/stable", {"JobID": "web", "JobVersion": 1, "Stable": True})
    every.do("PUT", "/v1/job/web/scale", {"Target": {"Group": "g"}, "Count": 3, "Message": "m", "Meta": {"a": 1}})
    every.do("PUT", "/v1/job/web/evaluate", {"JobID": "web", "EvalOptions": {"ForceReschedule": True}})
    failing = task(run_for="10ms") | {"Config": {"run_for": "10ms", "exit_code": 1}}
    again = {"Delay": 10**9 * 5, "DelayFunction": "constant", "Unlimited": True, "MaxDelay": 10**9 * 5}
    fails = {"RestartPolicy": {"Attempts": 0, "Mode": "fail", "Interval": 10**10}, "ReschedulePolicy": again}
    every.do("PUT", "/v1/jobs", {"Job": job("failing", failing, group=fails, Update={"MaxParallel": 0})})
    every.do("PUT", "/v1/jobs", {"Job": job("nowhere", Constraints=NOWHERE)})
    every.do("PUT", "/v1/jobs", {"Job": job("huge", task(Resources={"CPU": 10**7, "MemoryMB": 10}))})
    every.do("PUT", "/v1/jobs", {"Job": job("all", Type="system")})
    cron = {"Spec": "0 0 1 1 *", "SpecType": "cron", "Enabled": True}
    every.do("PUT", "/v1/job/nightly/plan", {"Job": job("nightly", Type="batch", Periodic=cron)})
    every.do("PUT", "/v1/jobs", {"Job": job("nightly", Type="batch", Periodic=cron)})
    every.do("PUT", "/v1/jobs", {"Job": rare()})
    sleeping = task() | {"Driver": "raw_exec", "Config": {"command": "sleep", "args": ["60"]}}
    every.do("PUT", "/v1/jobs", {"Job": job("real", sleeping)})
    every.do("PUT", "/v1/job/nightly/periodic/force")
    parameters = {"Payload": "optional", "MetaOptional": ["who"]}
    every.do("PUT", "/v1/jobs", {"Job": job("each", task(run_for="20ms"), Type="batch", ParameterizedJob=parameters)})
    made = every.do("PUT", "/v1/job/each/dispatch", {"Payload": "eA==", "Meta": {"who": "me"}})
    every.do("PUT", "/v1/job/each/dispatch/payload", b"payload")
    names["child"] = made["DispatchedJobID"]
    every.do("PUT", "/v1/jobs", {"Job": job("short", task(run_for="10ms"), Type="batch")})
    every.do("PUT", "/v1/jobs", {"Job": job("gone", group={"Count": 0})})
    every.do("PUT", "/v1/jobs", {"Job": job("gone", group={"Count": 0}, Priority=60)})
    every.do("PUT", "/v1/job/gone/revert", {"JobID": "gone", "JobVersion": 0})
    every.do("DELETE", "/v1/job/gone?purge=true")
    every.wait("/v1/job/short/summary", lambda found: found["Summary"]["g"]["Complete"] == 1)
    done = every.peek("/v1/job/short/allocations")[0]["ID"]
    every.do("GET", f"/v1/client/allocation/{done}/gc")
    every.do("PUT", f"/v1/client/allocation/{done}/gc")
    _allocation(every, names)
    every.do("PUT", "/v1/jobs", {"Job": job("short", task(run_for="10ms"), Type="batch", Priority=60)})


def _deployment(every: Everything, deployment: str) -> None:
    given = {"DeploymentID": deployment}
    every.do("PUT", f"/v1/deployment/pause/{deployment}", {**given, "Pause": True})
    every.do("PUT", f"/v1/deployment/pause/{deployment}", {**given, "Pause": False})
    every.do("PUT", f"/v1/deployment/unblock/{deployment}", given)
    placed = every.peek(f"/v1/deployment/{deployment}")["TaskGroups"]["g"]["PlacedCanaries"]
    every.do("PUT", f"/v1/deployment/allocation-health/{deployment}", {**given, "HealthyAllocationIDs": placed})
    every.do("PUT", f"/v1/deployment/promote/{deployment}", {**given, "All": True})
    every.wait(f"/v1/deployment/{deployment}", lambda found: found["Status"] == "successful")
    every.do("PUT", "/v1/job/web", {"Job": web("3")})
    newest = every.wait("/v1/job/web/deployment", lambda found: found["ID"] != deployment)["ID"]
    every.do("PUT", f"/v1/deployment/fail/{newest}", {})
    rolling = {"MaxParallel": 1, "AutoRevert": True, "HealthCheck": "task_states", "MinHealthyTime": 10**7}
    every.do("PUT", "/v1/jobs", {"Job": job("flip", Update=rolling)})
    every.wait("/v1/job/flip/deployment", lambda found: found["Status"] == "successful")
    rolling["MinHealthyTime"] = 10**10
    every.do("PUT", "/v1/jobs", {"Job": job("flip", task(Env={"a": "b"}), Update=rolling)})
    newest = every.wait("/v1/job/flip/deployment", lambda found: found["Status"] == "running")["ID"]
    every.do("PUT", f"/v1/deployment/fail/{newest}", {})


def _allocation(every: Everything, names: dict[str, str]) -> None:
    def live(rows: Any) -> Any:
        return [one for one in rows if (one["ClientStatus"], one["DesiredStatus"]) == ("running", "run")]

    every.do("PUT", "/v1/jobs", {"Job": job("plain", Update={"MaxParallel": 0})})
    stopped = live(every.wait("/v1/job/plain/allocations", live))[0]["ID"]
    every.do("PUT", f"/v1/allocation/{stopped}/stop")
    every.wait(f"/v1/allocation/{stopped}", lambda one: one["ClientStatus"] == "complete" and one.get("NextAllocation"))
    chosen = live(every.wait("/v1/job/web/allocations", live))[0]
    own = names["allocation"] = chosen["ID"]
    every.do("PUT", f"/v1/client/allocation/{own}/signal", {"Signal": "SIGUSR1", "Task": "t"})
    every.do("PUT", f"/v1/client/allocation/{own}/restart", {"TaskName": "t"})
    every.wait(f"/v1/allocation/{own}", lambda one: one["TaskStates"]["t"]["State"] == "running")
    names |= {"stopped": stopped, "evaluation": chosen["EvalID"]}
    failed = every.wait("/v1/job/failing/allocations", lambda rows: rows and rows[0]["ClientStatus"] == "failed")
    names["failed"] = failed[0]["ID"]
    every.do("PUT", "/v1/job/failing/evaluate", {"JobID": "failing", "EvalOptions": {"ForceReschedule": True}})
    names["again"] = every.wait(f"/v1/allocation/{names['failed']}", lambda one: one.get("NextAllocation"))[
        "NextAllocation"
    ]
    names["real"] = live(every.wait("/v1/job/real/allocations", live))[0]["ID"]
    names["blocked"] = every.wait("/v1/job/nowhere/evaluations", lambda rows: len(rows) > 1)[0]["ID"]
    names["deployment"] = every.peek("/v1/job/web/deployment")["ID"]
    names["policy"] = every.peek("/v1/scaling/policies")[0]["ID"]


def _variables(every: Everything) -> None:
    every.do("PUT", "/v1/var/a/b", {"Items": {"b": "1", "a": "2"}})
    for verb, more in (("acquire", {"Items": {"a": "1"}}), ("renew", {}), ("release", {}), ("acquire", {})):
        lock = {"ID": UNKNOWN, "TTL": "10m", "LockDelay": "1s"}
        every.do("PUT", f"/v1/var/locks/one?lock-{verb}", {"Lock": lock, **more})
    every.do("PUT", "/v1/var/gone", {"Items": {"a": "2"}})
    every.do("DELETE", "/v1/var/gone")


def _foreign_node(every: Everything, names: dict[str, str]) -> None:
    """A node that this test speaks for."""
    own, secret = str(uuid.uuid4()), str(uuid.uuid4())
    volumes = {"data": {"Name": "data", "Path": "/x"}}
    node = every.do("GET", f"/v1/node/{names['node']}") | {
        "ID": own, "SecretID": secret, "Name": "foreign", "Datacenter": "dc2", "NodePool": "fast", "HTTPAddr": "",
        "HostVolumes": volumes, "Meta": {"a": "b"}, "Status": "initializing",
    }  # fmt: skip
    instances = [{"ID": "0", "Healthy": True, "Locality": {"PciBusID": "0"}}]
    attributes = {"memory": {"Int": 4, "Unit": "GiB"}, "name": {"String": "x"}, "on": {"Bool": True}}
    device = {"Vendor": "v", "Type": "gpu", "Name": "n", "Instances": instances, "Attributes": attributes}
    node["NodeResources"]["Devices"] = [device]
    rpc, who = "/v1/agent-rpc/", {"NodeID": own}
    every.do("PUT", f"{rpc}Node.Register", {"Node": node}, secret="", Authorization=f"Bearer {every.secret}")
    every.do("PUT", f"{rpc}Node.UpdateStatus", {**who, "Status": "ready"}, secret=secret)
    every.do("PUT", f"/v1/node/{own}/drain", {"NodeID": own, "DrainSpec": {"Deadline": 10**12}, "Meta": {"why": "x"}})
    every.do("GET", f"/v1/node/{own}")
    every.do("PUT", f"/v1/node/{own}/drain", {"NodeID": own, "MarkEligible": True})
    every.do("PUT", f"/v1/node/{own}/eligibility", {"NodeID": own, "Eligibility": "ineligible"})
    every.do("PUT", f"/v1/node/{own}/eligibility", {"NodeID": own, "Eligibility": "eligible"})
    every.do("PUT", f"/v1/node/{own}/evaluate")
    needy = task(Resources={"Cores": 1, "MemoryMB": 10, "Devices": [{"Name": "gpu", "Count": 1}]})
    elsewhere = {"Namespace": "apps", "NodePool": "fast", "Datacenters": ["dc2"]}
    every.do("PUT", "/v1/jobs?namespace=apps", {"Job": job("apart", needy, **elsewhere)})
    (placed,) = every.wait("/v1/job/apart/allocations?namespace=apps", lambda rows: rows)
    every.do("GET", f"{rpc}Node.GetClientAllocs?node_id={own}", secret=secret)
    every.do("PUT", f"{rpc}Alloc.GetAllocs", {**who, "AllocIDs": [placed["ID"]]}, secret=secret)
    states = {"t": {"State": "running", "StartedAt": "2026-01-01T00:00:00Z", "Events": [{"Type": "Started"}]}}
    update = {"ID": placed["ID"], "ClientStatus": "running", "TaskStates": states}
    every.do("PUT", f"{rpc}Node.UpdateAlloc", {**who, "Alloc": [update]}, secret=secret)
    registration = {"ID": "s", "ServiceName": "s", "Namespace": "apps", "AllocID": placed["ID"]}
    every.do("PUT", f"{rpc}ServiceRegistration.Upsert", {**who, "Services": [registration]}, secret=secret)
    every.do("GET", f"/v1/allocation/{placed['ID']}/services")
    every.do("PUT", f"{rpc}ServiceRegistration.DeleteByID", {**who, "IDs": ["s"]}, secret=secret)
    every.do(
        "PUT", f"{rpc}ACL.Authorize", {**who, "Token": every.secret, "Kind": "node", "AnyOf": ["read"]}, secret=secret
    )
    sign = {**who, "AllocID": placed["ID"], "Task": "t", "Names": ["default"]}
    every.do("PUT", f"{rpc}Alloc.SignIdentities", sign, secret=secret)
    names |= {"foreign": own, "secret": secret, "apart": placed["ID"]}


def lose(every: Everything, names: dict[str, str]) -> None:
    """The foreign node is down, and what it had is lost."""
    down = {"NodeID": names["foreign"], "Status": "down"}
    every.do("PUT", "/v1/agent-rpc/Node.UpdateStatus", down, secret=names["secret"])
    every.wait(f"/v1/allocation/{names['apart']}", lambda one: one["ClientStatus"] == "lost")
    every.do("GET", f"/v1/allocation/{names['apart']}")


def _operators(every: Everything, names: dict[str, str]) -> None:
    every.do("PUT", "/v1/operator/keyring/rotate?full")
    keys = every.do("GET", "/v1/operator/keyring/keys")
    every.do("GET", "/v1/operator/keyring/servers")
    every.do("PUT", "/v1/operator/keyring/rewrap")
    every.do("DELETE", f"/v1/operator/keyring/key/{next(one['KeyID'] for one in keys if one['State'] != 'active')}")
    every.do("PUT", "/v1/operator/scheduler/configuration", {"SchedulerAlgorithm": "spread", "PauseEvalBroker": True})
    every.do("DELETE", "/v1/evaluations", {"Filter": 'Status == "complete" and JobID == "gone"'})
    every.do("PUT", "/v1/operator/scheduler/configuration", {"SchedulerAlgorithm": "binpack"})
    every.do("PUT", "/v1/operator/autopilot/configuration", {"CleanupDeadServers": False})
    configured = every.do("GET", "/v1/agent/schedulers/config")
    every.do("PUT", "/v1/agent/schedulers/config", configured)
    own = every.do("GET", "/v1/operator/raft/configuration")["Servers"][0]
    every.do("PUT", f"/v1/operator/raft/transfer-leadership?address={own['Address']}")
    every.do("PUT", "/v1/agent/join?address=127.0.0.1:1")
    every.do("PUT", "/v1/agent/force-leave?node=nobody")
    every.do("PUT", "/v1/system/reconcile/summaries")
    for text, context in (("web", "all"), ("web", "jobs")):
        every.do("PUT", "/v1/search", {"Prefix": text, "Context": context})
        every.do("PUT", "/v1/search/fuzzy", {"Text": text, "Context": context})
    for method in ("GET", "PUT"):
        every.do(method, "/v1/client/gc")
    every.do("POST", "/v1/client/metadata", {"Meta": {"a": "b"}})
    every.do("POST", "/v1/jobs/statuses", {"Jobs": [{"ID": "web", "Namespace": "default"}]})
    registered = every.peek("/v1/service/web")[0]["ID"]
    every.do("DELETE", f"/v1/service/web/{registered}")
