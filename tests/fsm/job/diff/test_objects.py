"""What a diff lists of every kind of record (spec job-model §7)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.fsm.job.diff.told import told
from yurt.fsm.job.diff.group import diff_groups
from yurt.fsm.job.diff.job import diff_jobs
from yurt.fsm.job.diff.task import diff_tasks
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.task import Task

SECOND = 10**9
BARE_IDENTITY = {"Identity": None, "KillTimeout": 5 * SECOND}
IDENTITY = "=ChangeMode: =ChangeSignal: {0}Env:false {0}File:false =Filepath: {0}Name:i =ServiceName: {0}TTL:0"
SERVICE = "=Address: =AddressMode:auto =Cluster:default =EnableTagOverride:false =Kind:"
SERVICE_END = "=Namespace: =OnUpdate:require_healthy"
CHECK = (
    "=AddressMode: =Body: =Command: =Expose:false =FailuresBeforeCritical:0 =FailuresBeforeWarning:0 =GRPCService: "
    "=GRPCUseTLS:false =InitialStatus: =Interval:0 =Method: =Name:c =Notes: =OnUpdate: =Path: =PortLabel: =Protocol: "
    "=SuccessBeforePassing:0 =TLSServerName: =TLSSkipVerify:false =TaskName:"
)
TEMPLATE = (
    "=DestPath:{0} =EmbeddedTmpl: =Envvars:false =ErrMissingKey:false =LeftDelim:{{{{ =Once:false =Perms:0644 "
    "=RightDelim:}}}} =SourcePath: =Splay:5000000000"
)


def job(fields: Any) -> Job:
    return msgspec.convert({"ID": "j", **fields}, Job)


def group(fields: Any) -> TaskGroup:
    return msgspec.convert({"Name": "g", **fields}, TaskGroup)


def task(fields: Any) -> Task:
    return msgspec.convert({"Name": "t", **BARE_IDENTITY, **fields}, Task)


JOBS: list[tuple[Any, Any, str]] = [
    ({"Priority": 50}, {"Priority": 70}, "~Priority:50>70"),
    ({"AllAtOnce": True, "Region": "a"}, {"AllAtOnce": False, "Region": ""}, "~AllAtOnce:true>false -Region:a"),
    ({"Meta": {"a": "1", "b": "2"}}, {"Meta": {"a": "2", "c.d": "3", "e": ""}}, "~Meta[a]:1>2 -Meta[b]:2 +Meta[c.d]:3"),
    ({"Meta": {"a": "1"}}, {"Meta": None}, "-Meta[a]:1"),
    ({"Meta": {"a": "1", "a.b": "1"}, "Name": "x"}, {}, "-Meta[a.b]:1 -Meta[a]:1 -Name:x"),
    ({"ParentID": "p", "VaultNamespace": "v"}, {"ConsulNamespace": "c"}, "+ConsulNamespace:c -ParentID:p -VaultNamespace:v"),
    ({"Datacenters": ["dc1"]}, {"Datacenters": ["dc2", "dc1"]}, "+Datacenters{+Datacenters:dc2 =Datacenters:dc1}"),
    ({"Datacenters": ["a", "b"]}, {"Datacenters": ["b", "c"]}, "~Datacenters{+Datacenters:c -Datacenters:a =Datacenters:b}"),
    ({"Datacenters": ["a", "b"]}, {"Datacenters": ["b", "a"]}, ""),
    ({"Datacenters": ["a", "b"]}, {"Datacenters": ["b"]}, "-Datacenters{-Datacenters:a =Datacenters:b}"),
    ({"Spreads": [{"Attribute": "a"}]}, {"VersionTag": {"Name": "x"}, "Payload": "YQ==", "Update": {"MaxParallel": 1}}, ""),
    (
        {"Status": "dead", "StatusDescription": "x", "Version": 1, "Stable": True, "CreateIndex": 1, "ModifyIndex": 2},
        {"JobModifyIndex": 3, "SubmitTime": 4, "NomadTokenID": "n", "ID": "other"},
        "",
    ),
    (
        {"Constraints": [{"LTarget": "a", "RTarget": "b", "Operand": "="}]},
        {"Constraints": [{"LTarget": "a", "RTarget": "b", "Operand": "!="}, {"Operand": "distinct_hosts"}]},
        "+Constraint{=LTarget: +Operand:distinct_hosts =RTarget:} +Constraint{+LTarget:a +Operand:!= +RTarget:b} "
        "-Constraint{-LTarget:a -Operand:= -RTarget:b}",
    ),
    (
        {"Affinities": [{"LTarget": "a", "Operand": "=", "RTarget": "b", "Weight": 50}]},
        {"Affinities": [{"LTarget": "a", "Operand": "=", "RTarget": "b", "Weight": -5}]},
        "+Affinity{+LTarget:a +Operand:= +RTarget:b +Weight:-5} -Affinity{-LTarget:a -Operand:= -RTarget:b -Weight:50}",
    ),
    (
        {},
        {"Periodic": {"Specs": ["a"]}},
        "+Periodic{+Enabled:true +ProhibitOverlap:false =Spec: +SpecType:cron +TimeZone:UTC +Specs{+Specs:a}}",
    ),
    (
        {"Periodic": {"Specs": ["a"]}},
        {"Periodic": {"Specs": ["a"], "TimeZone": "Z"}},
        "~Periodic{=Enabled:true =ProhibitOverlap:false =Spec: =SpecType:cron ~TimeZone:UTC>Z}",
    ),
    (
        {"ParameterizedJob": {"MetaRequired": ["a"], "MetaOptional": ["c"]}},
        {"ParameterizedJob": {"MetaRequired": ["a"], "MetaOptional": ["c"], "Payload": "required"}},
        "~ParameterizedJob{~Payload:optional>required =MetaOptional{=MetaOptional:c} =MetaRequired{=MetaRequired:a}}",
    ),
    (
        {"UI": {"Description": "x", "Links": [{"Label": "a", "Url": "u"}, {"Label": "b", "Url": "v"}]}},
        {"UI": {"Description": "x", "Links": [{"Label": "a", "Url": "w"}]}},
        "~UI{=Description:x ~Link{=Label:a ~Url:u>w} -Link{-Label:b -Url:v}}",
    ),
    (
        {},
        {"Multiregion": {"Strategy": {"MaxParallel": 1}, "Regions": [{"Name": "r", "Count": 2, "Datacenters": ["d"]}]}},
        "+Multiregion{+Strategy{+MaxParallel:1 =OnFailure:} "
        "+Region{+Count:2 +Name:r =NodePool: +Datacenters{+Datacenters:d}}}",
    ),
]  # fmt: skip

GROUPS: list[tuple[Any, Any, str]] = [
    ({"Count": 1}, {"Count": 3}, "~Count:1>3"),
    ({"Meta": {"k": "v"}}, {"PreventRescheduleOnLost": True}, "-Meta[k]:v ~PreventRescheduleOnLost:false>true"),
    ({}, {"ShutdownDelay": 5, "Meta": {"a": "b"}}, "+Meta[a]:b +ShutdownDelay:5"),
    ({"ShutdownDelay": 5}, {"ShutdownDelay": None}, "-ShutdownDelay:5"),
    ({"Spreads": [{"Attribute": "a"}], "MaxRunDuration": 5}, {"MaxClientDisconnect": 5, "StopAfterClientDisconnect": 6}, ""),
    (
        {"RestartPolicy": {"Attempts": 2, "Mode": "fail"}},
        {"RestartPolicy": {"Attempts": 1, "Mode": "fail"}},
        "~RestartPolicy{~Attempts:2>1 =Delay:0 =Interval:0 =Mode:fail =RenderTemplates:false}",
    ),
    (
        {},
        {"Migrate": {}, "ReschedulePolicy": {}},
        "+Migrate{=HealthCheck: +HealthyDeadline:0 +MaxParallel:0 +MinHealthyTime:0} "
        "+ReschedulePolicy{+Attempts:0 +Delay:0 =DelayFunction: +Interval:0 +MaxDelay:0 +Unlimited:false}",
    ),
    ({"EphemeralDisk": {}}, {}, "-EphemeralDisk{-Migrate:false -SizeMB:300 -Sticky:false}"),
    ({"Consul": {"Namespace": "a"}}, {"Consul": {}}, "-Consul{=Cluster:default -Namespace:a =Partition:}"),
    (
        {"Consul": {"Namespace": "a"}},
        {"Consul": {"Partition": "b"}},
        "~Consul{=Cluster:default -Namespace:a +Partition:b}",
    ),
    (
        {"Update": {"Stagger": 1, "Canary": 1}},
        {"Update": {"Stagger": 2, "Canary": 2}},
        "~Update{=AutoPromote:false =AutoRevert:false ~Canary:1>2 =HealthCheck: =HealthyDeadline:0 =MaxParallel:0 "
        "=MinHealthyTime:0 =ProgressDeadline:0}",
    ),
    ({"Update": {"Stagger": 1}}, {"Update": {"Stagger": 2}}, ""),
    ({}, {"Disconnect": {"LostAfter": 5}}, "+Disconnect{+LostAfter:5 +Reconcile:best_score +Replace:true +StopOnClientAfter:nil}"),
    (
        {"Disconnect": {}},
        {"Disconnect": {"StopOnClientAfter": 5}},
        "~Disconnect{=LostAfter:0 =Reconcile:best_score =Replace:true ~StopOnClientAfter:nil>5}",
    ),
    (
        {"Networks": [{"DynamicPorts": [{"Label": "http", "To": 80}]}]},
        {"Networks": [{"Mode": "host", "DynamicPorts": [{"Label": "http"}, {"Label": "b"}], "MBits": 5,
                       "ReservedPorts": [{"Label": "s", "Value": 99, "IgnoreCollision": True}],
                       "DNS": {"Servers": ["1", "2"], "Options": ["o"]}, "CNI": {"Args": {"a": "b"}}}]},
        "+Network{=Hostname: +Mode:host "
        "+Static Port{=HostNetwork: +IgnoreCollision:true +Label:s +To:0 +Value:99} "
        "+Dynamic Port{=HostNetwork: +Label:b +To:0} +Dynamic Port{=HostNetwork: +Label:http +To:0} "
        "+DNS{+Options:o +Servers:1,2} +CNIConfig{+a:b}} "
        "-Network{=Hostname: =Mode: -Dynamic Port{=HostNetwork: -Label:http -To:80}}",
    ),
    ({"Networks": [{"Mode": "host"}]}, {"Networks": [{"Mode": "host"}, {"Mode": "host"}]}, "+Network{=Hostname: +Mode:host}"),
    ({"Scaling": {"Min": 1, "Max": 5}}, {"Scaling": {"Min": 1, "Max": 6}}, "~Scaling{~Max:5>6}"),
    (
        {"Scaling": {"Max": 5, "Policy": {"a": 1.0, "b": "x"}}},
        {"Scaling": {"Max": 5, "Policy": {"a": 2.0, "b": "x"}}},
        "~Scaling{~Policy{~a:1>2}}",
    ),
    ({"Scaling": {"CreateIndex": 1}}, {"Scaling": {"CreateIndex": 2}}, "~Scaling{}"),
    ({}, {"Scaling": {"Max": 5}}, "+Scaling{+Enabled:true +Max:5 +Min:0}"),
    (
        {"Volumes": {"v": {"Type": "host", "Source": "x"}, "w": {"Type": "host"}}},
        {"Volumes": {"v": {"Type": "csi", "Source": "x", "MountOptions": {"FSType": "e", "MountFlags": ["f"]}}}},
        "~Volume{=AccessMode: =AttachmentMode: =Name: =PerAlloc:false =ReadOnly:false =Source:x =Sticky:false "
        "~Type:host>csi +MountOptions{+FSType:e +MountFlags{+MountFlags:f}}} "
        "-Volume{=AccessMode: =AttachmentMode: =Name: -PerAlloc:false -ReadOnly:false =Source: -Sticky:false -Type:host}",
    ),
    (
        {"Services": [{"Name": "a", "Tags": ["x"], "CanaryTags": ["k"]}]},
        {"Services": [{"Name": "b", "Tags": ["x"], "Meta": {"m": "1"}, "TaggedAddresses": {"lan": "h"}}]},
        f"~Service{{{SERVICE} +Meta[m]:1 ~Name:a>b {SERVICE_END} =PortLabel: =Provider:consul +TaggedAddresses[lan]:h "
        "=TaskName: -CanaryTags{-CanaryTags:k} =Tags{=Tags:x}}",
    ),
    (
        {"Services": [{"Name": "a", "Checks": [{"Name": "c", "Type": "tcp", "Args": ["x"]}, {"Name": "d"}]}]},
        {"Services": [{"Name": "a", "Weights": {"Passing": 2}, "Checks": [
            {"Name": "c", "Type": "http", "Header": {"X": ["1", "2"]}, "CheckRestart": {"Limit": 2}}, {"Name": "d"}]}]},
        f"~Service{{{SERVICE} =Name:a {SERVICE_END} =PortLabel: =Provider:consul =TaskName: "
        f"~Check{{{CHECK} =Timeout:0 ~Type:tcp>http +Header{{+X[0]:1 +X[1]:2}} "
        "+CheckRestart{+Grace:1000000000 +IgnoreWarnings:false +Limit:2}} +Weights{+Passing:2 +Warning:1}}",
    ),
    (
        {"Services": [{"Name": "a", "Checks": [{"Name": "c", "Args": ["x"]}]}]},
        {"Services": [{"Name": "a", "Checks": [{"Name": "c", "Args": ["y"]}]}]},
        f"~Service{{{SERVICE} =Name:a {SERVICE_END} =PortLabel: =Provider:consul =TaskName: "
        f"~Check{{{CHECK} =Timeout:0 =Type:}}}}",
    ),
    (
        {"Services": [{"Name": "a"}]},
        {"Services": [{"Name": "a", "Connect": {"Native": True, "Gateway": {"x": {"y": 1.0}}}, "Identity": {"Name": "i"}}]},
        f"~Service{{{SERVICE} =Name:a {SERVICE_END} =PortLabel: =Provider:consul =TaskName: "
        f"+ConsulConnect{{+Native:true +Gateway{{+x[y]:1}}}} +Identity{{{IDENTITY.format('+')}}}}}",
    ),
    (
        {"Services": [{"Name": "a", "Connect": {"SidecarService": {"Proxy": {"Upstreams": [{"DestinationName": "d"}]}}}}]},
        {"Services": [{"Name": "a", "Connect": {"SidecarService": {"Proxy": {
            "Upstreams": [{"DestinationName": "d", "LocalBindPort": 5, "MeshGateway": {"Mode": "local"}}],
            "TransparentProxy": {"ExcludeOutboundPorts": [7]}, "Expose": {"Paths": [{"Path": "/"}]}}},
            "SidecarTask": {"KillTimeout": 5, "Config": {"a": 1.0}}}}]},
        f"~Service{{{SERVICE} =Name:a {SERVICE_END} =PortLabel: =Provider:consul =TaskName: ~ConsulConnect{{=Native:false "
        "~SidecarService{=DisableDefaultTCPCheck:false =Port: ~Proxy{=LocalServiceAddress: =LocalServicePort:0 "
        "~Upstream{=Datacenter: =DestinationName:d =DestinationNamespace: =DestinationPartition: =DestinationPeer: "
        "=DestinationType: =LocalBindAddress: ~LocalBindPort:0>5 =LocalBindSocketMode: =LocalBindSocketPath: "
        "+MeshGateway{+Mode:local}} "
        "+Expose{+Path{=ListenerPort: +LocalPathPort:0 +Path:/ =Protocol:}} "
        "+TransparentProxy{+NoDNS:false +OutboundPort:0 =UID: +ExcludeOutboundPorts{+0:7}}}} "
        "+SidecarTask{=Driver: =KillSignal: +KillTimeout:5 =Name: =User: +Config{+a:1}}}}",
    ),
]  # fmt: skip

TASKS: list[tuple[Any, Any, str]] = [
    ({"Driver": "a"}, {"Driver": "b", "User": "u", "KillSignal": "S"}, "~Driver:a>b +KillSignal:S +User:u"),
    ({"Kind": "k", "Leader": True}, {"ShutdownDelay": 1}, "-Kind:k ~Leader:true>false ~ShutdownDelay:0>1"),
    ({"Env": {"A": "1"}}, {"Env": {"B": "1"}, "Meta": {"C": "2"}}, "-Env[A]:1 +Env[B]:1 +Meta[C]:2"),
    ({}, {"Lifecycle": {"Hook": "x"}, "RestartPolicy": {"Attempts": 5}, "CSIPluginConfig": {"ID": "x"}}, ""),
    (
        {"Config": {"run_for": "1h", "list": ["a", "b"], "map": {"k": "v"}, "empty": [], "nothing": None}},
        {"Config": {"run_for": "1h", "list": ["b"], "map": {"k": "w", "z": 1.5}, "big": 12345678901.0, "flag": True}},
        "~Config{+big:1.2345678901e+10 +flag:true ~list[0]:a>b -list[1]:b ~map[k]:v>w +map[z]:1.5 -nothing:nil =run_for:1h}",
    ),
    ({"Config": {"a": []}}, {"Config": None}, ""),
    ({"Config": {"a": True}}, {"Config": {"a": 1.0}}, "~Config{~a:true>1}"),
    ({"Config": {"a": {"b": 1.0, "c": 2.0}}}, {"Config": {"a": {"c": 2.0, "b": 1.0}}}, ""),
    ({}, {"Config": {"a": [{"b": [1.0]}]}}, "+Config{+a[0][b][0]:1}"),
    (
        {"Resources": {"CPU": 1}},
        {"Resources": {"CPU": 2, "Devices": [{"Name": "gpu", "Constraints": [{"Operand": "x"}]}], "NUMA": {"Devices": ["d"]},
                       "Networks": [{"Mode": "m"}]}},
        "~Resources{~CPU:1>2 =Cores:0 =DiskMB:0 =IOPS:0 =MemoryMB:300 =MemoryMaxMB:0 =SecretsMB:0 "
        "+Network{=Hostname: +Mode:m} "
        "+Device{+Count:1 +Name:gpu +Constraint{=LTarget: +Operand:x =RTarget:}} +NUMA{+Affinity:none +Devices{+Devices:d}}}",
    ),
    (
        {"Resources": {"Devices": [{"Name": "gpu", "Count": 1}]}},
        {"Resources": {"Devices": [{"Name": "gpu", "Count": 2}]}},
        "~Resources{=CPU:100 =Cores:0 =DiskMB:0 =IOPS:0 =MemoryMB:300 =MemoryMaxMB:0 =SecretsMB:0 "
        "~Device{~Count:1>2 =Name:gpu}}",
    ),
    ({"LogConfig": {}}, {"LogConfig": {"MaxFiles": 5}}, "~LogConfig{=Disabled:false =MaxFileSizeMB:10 ~MaxFiles:10>5}"),
    ({}, {"DispatchPayload": {"File": "f"}}, "+DispatchPayload{+File:f}"),
    ({}, {"DispatchPayload": {"File": ""}}, ""),
    (
        {"Artifacts": [{"GetterSource": "u", "RelativeDest": "a"}, {"GetterSource": "x", "RelativeDest": "b"}]},
        {"Artifacts": [{"GetterSource": "u", "RelativeDest": "a", "GetterOptions": {"k": "v"}}]},
        "+Artifact{=Chown:false =GetterInsecure:false =GetterMode:any +GetterOptions[k]:v =GetterSource:u =RelativeDest:a} "
        "-Artifact{-Chown:false -GetterInsecure:false -GetterMode:any -GetterSource:x -RelativeDest:b}",
    ),
    (
        {"Vault": {}},
        {"Vault": {"Role": "r"}},
        "~Vault{=AllowTokenExpiration:false =ChangeMode:restart =ChangeSignal:SIGHUP =Cluster:default =DisableFile:false "
        "=Env:true =Namespace: +Role:r}",
    ),
    (
        {"Secrets": [{"Name": "s", "Path": "p", "Config": {"e": 1.0}}]},
        {"Secrets": [{"Name": "s", "Path": "q", "Config": {"e": 2.0}, "Env": {"A": "b"}}, {"Name": "a"}]},
        "~Secret{+Env[A]:b =Name:s ~Path:p>q =Provider: ~Config{~e:1>2}} +Secret{+Name:a =Path: =Provider:}",
    ),
    ({}, {"Consul": {}}, "+Consul{+Cluster:default =Namespace: =Partition:}"),
    (
        {"Templates": [{"DestPath": "a"}]},
        {"Templates": [{"DestPath": "b", "Uid": 5, "ChangeMode": "script", "Wait": {"Min": 1},
                        "ChangeScript": {"Command": "c", "Args": ["x"]}}]},
        "~Template{~ChangeMode:restart>script =ChangeSignal: " + TEMPLATE.format("a").replace("=DestPath:a", "~DestPath:a>b")
        + " +Uid:5 =VaultGrace:0 +Template{+Max:nil +Min:1} "
        "+ChangeScript{+Command:c +FailOnError:false +RunOnFirstRender:false +Timeout:5000000000 +Args{+Args:x}}}",
    ),
    (
        {"Templates": [{"DestPath": "a", "Gid": 1, "Wait": {"Min": 1}}, {"DestPath": "b"}]},
        {"Templates": [{"DestPath": "b"}, {"DestPath": "a", "Gid": 1, "Wait": {"Min": 1, "Max": 2}}]},
        "~Template{=ChangeMode:restart =ChangeSignal: " + TEMPLATE.format("a").replace(" =LeftDelim", " =Gid:1 =LeftDelim")
        + " =VaultGrace:0 ~Template{~Max:nil>2 =Min:1}}",
    ),
    (
        {"Identity": {"Name": "i", "Audience": ["a"]}},
        {"Identity": {"Name": "i", "Audience": ["a"], "TTL": 1, "ExtraClaims": {"x": "y"}}},
        "~Identity{=ChangeMode: =ChangeSignal: =Env:false +ExtraClaims[x]:y =File:false =Filepath: =Name:i =ServiceName: "
        "~TTL:0>1 =Audience{=Audience:a}}",
    ),
    (
        {"Identities": [{"Name": "i"}, {"Name": "j"}]},
        {"Identities": [{"Name": "j"}, {"Name": "k", "Audience": ["a"]}]},
        f"+Identity{{{IDENTITY.format('+').replace('Name:i', 'Name:k')} +Audience{{+Audience:a}}}} "
        f"-Identity{{{IDENTITY.format('-')}}}",
    ),
    (
        {"Actions": [{"Name": "a", "Command": "c", "Args": ["x"]}]},
        {"Actions": [{"Name": "b", "Command": "c", "Args": ["x"]}, {"Name": "a", "Command": "d"}]},
        "~Action{=Command:c ~Name:a>b =Args{=Args:x}} +Action{+Command:d +Name:a}",
    ),
    (
        {"VolumeMounts": [{"Volume": "v", "Destination": "/v"}]},
        {"VolumeMounts": [{"Volume": "v", "Destination": "/w", "SELinuxLabel": "z"}]},
        "~VolumeMount{~Destination:/v>/w =PropagationMode:private =ReadOnly:false +SELinuxLabel:z =Volume:v}",
    ),
    ({}, {"Schedule": {"Cron": {"Start": "s"}}}, "+Schedule{+Cron{=End: +Start:s =Timezone:}}"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), JOBS)
def test_jobs(old: Any, new: Any, expected: str) -> None:
    diff = diff_jobs(job(old), job(new))
    assert told(diff) == expected
    assert diff.type == ("Edited" if expected else "None")


@pytest.mark.parametrize(("old", "new", "expected"), GROUPS)
def test_groups(old: Any, new: Any, expected: str) -> None:
    diff = diff_groups(group(old), group(new))
    assert told(diff) == expected
    assert diff.type == "Edited", "also when what differs is not listed"


@pytest.mark.parametrize(("old", "new", "expected"), TASKS)
def test_tasks(old: Any, new: Any, expected: str) -> None:
    diff = diff_tasks(task(old), task(new))
    assert told(diff) == expected
    assert diff.type == ("None" if task(old) == task(new) and not expected else "Edited")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"x": 1}, {"x": 1, "y": 1}, [("x", "None"), ("y", "Added")]),
        ({"x": 1, "y": 1}, {"y": 2}, [("x", "Deleted"), ("y", "Edited")]),
        ({"b": 1, "c": 1, "a": 1}, {"c": 1, "b": 1, "a": 1}, [("a", "None"), ("b", "None"), ("c", "None")]),
    ],
)
def test_groups_and_tasks_are_matched_and_sorted_by_name(old: Any, new: Any, expected: Any) -> None:
    def tasks(names: Any) -> Any:
        return [{"Name": name, "Driver": f"d{driver}"} for name, driver in names.items()]

    diff = diff_groups(group({"Tasks": tasks(old)}), group({"Tasks": tasks(new)}))
    assert [(one.name, one.type) for one in diff.tasks or ()] == expected
    whole = diff_jobs(
        job({"TaskGroups": [{"Name": name, "Count": count} for name, count in old.items()]}),
        job({"TaskGroups": [{"Name": name, "Count": count} for name, count in new.items()]}),
    )
    assert [(one.name, one.type) for one in whole.task_groups or ()] == expected


def test_a_group_on_one_side_has_no_shutdown_delay() -> None:
    delayed = group({"ShutdownDelay": 5})
    assert told(diff_groups(None, delayed)) == "+Count:1 +PreventRescheduleOnLost:false"
    assert told(diff_groups(delayed, None)) == "-Count:1 -PreventRescheduleOnLost:false"
