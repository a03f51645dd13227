"""Networks, services and checks (spec job-model §5.5, §5.10)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from yurt.fsm.job.validate.check import check_error
from yurt.fsm.job.validate.network import network_errors
from yurt.fsm.job.validate.service import (
    group_check_errors,
    group_service_errors,
    service_errors,
    task_service_errors,
)
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.service import Check, Service
from yurt.fsm.structs.task import Task

SECOND = 10**9
NAME = (
    "Service name must be valid per RFC 1123 and can contain only alphanumeric characters or dashes "
    'and must be no longer than 63 characters: "{}"'
)
CHECK = {"Name": "c", "Type": "tcp", "Interval": SECOND, "Timeout": SECOND, "OnUpdate": "require_healthy"}


def group(**fields: Any) -> TaskGroup:
    return msgspec.convert({"Name": "g", **fields}, TaskGroup)


@pytest.mark.parametrize(
    ("networks", "texts"),
    [
        ([{"DynamicPorts": [{"Label": "a"}, {"Label": "b", "To": -1}]}], []),
        ([{"DynamicPorts": [{"Label": "a"}, {"Label": "a"}]}], ["Port label a already in use by taskgroup network"]),
        ([{"ReservedPorts": [{"Label": "a", "Value": 80}]}, {"ReservedPorts": [{"Label": "b", "Value": 80}]}], ["Static port 80 already reserved by taskgroup network:a"]),
        ([{"ReservedPorts": [{"Label": "a", "Value": 80}, {"Label": "b", "Value": 80, "HostNetwork": "x"}]}], []),
        ([{"ReservedPorts": [{"Label": "a", "Value": 80}, {"Label": "b", "Value": 80, "IgnoreCollision": True}]}], []),
        ([{"ReservedPorts": [{"Label": "c", "Value": 70000}]}], ["Port c (70000) cannot be greater than 65535"]),
        ([{"DynamicPorts": [{"Label": "d", "To": -2}]}], ['Port "d" cannot be mapped to negative value -2']),
        ([{"DynamicPorts": [{"Label": "e", "To": 70000}]}], ['Port "e" cannot be mapped to a port (70000) greater than 65535']),
        ([{"Mode": "bridge", "ReservedPorts": [{"Label": "f", "Value": 1, "IgnoreCollision": True}]}], ['Port "f" collision may not be ignored on non-host network mode "bridge"']),
        ([{"CNI": {"Args": {"a;": "b;"}}}], ["invalid ';' character in CNI arg key \"a;\"", "invalid ';' character in CNI arg value \"b;\""]),
        ([{"Hostname": "a..b"}], ["Hostname is not a valid DNS name"]),
        ([{"Hostname": "a" * 64}], ["Hostname is not a valid DNS name"]),
        ([{"Hostname": "web-1.example.org."}], []),
        ([{"Hostname": "${NOMAD_ALLOC_ID}!"}], []),
    ],
)  # fmt: skip
def test_networks(networks: list[dict[str, Any]], texts: list[str]) -> None:
    assert list(network_errors(group(Networks=networks))) == texts


def test_networks_of_tasks_share_labels_and_ports() -> None:
    ports = {"ReservedPorts": [{"Label": "a", "Value": 80}]}
    tasks = [
        {"Name": name, "Resources": {"Networks": [{"ReservedPorts": [{"Label": label, "Value": 81}]}]}}
        for name, label in (("t", "b"), ("u", "c"), ("v", "b"))
    ]
    assert list(network_errors(group(Networks=[ports], Tasks=tasks))) == [
        "Static port 81 already reserved by t:b",
        "Port label b already in use by t",
        "Static port 81 already reserved by t:b",
    ]


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({}, []),
        ({"Name": "a_b"}, [NAME.format("a_b")]),
        ({"Name": "a" * 64}, [NAME.format("a" * 64)]),
        ({"Name": "${NOMAD_JOB_NAME}-Web"}, []),
        ({"Name": "-a"}, [NAME.format("-a")]),
        ({"AddressMode": "x"}, ['Service address_mode must be "auto", "host", or "driver"; not "x"']),
        ({"AddressMode": "alloc_ipv6"}, []),
        ({"AddressMode": "host", "Address": "1.2.3.4"}, ['Service address_mode must be "auto" if address is set']),
        ({"Address": "1.2.3.4"}, []),
        ({"OnUpdate": "x"}, ['Service on_update must be "require_healthy", "ignore_warnings", or "ignore"; not "x"']),
        ({"Provider": "x", "Checks": [{}]}, ['Service provider must be "consul", or "nomad"; not "x"']),
        ({"Provider": "consul", "Kind": "x"}, ["Service s kind must be one of consul service kind or empty"]),
        ({"Kind": "x"}, []),
        ({"Connect": {}}, ["Service with provider nomad cannot include Connect blocks"]),
        ({"Identity": {"Name": "i"}}, ["Service identity must provide at least one target aud value"]),
        ({"PortLabel": "p", "Checks": [{**CHECK, "Type": "x"}, {**CHECK, "Interval": 5}]}, ['invalid check type ("x"), must be one of tcp, http', "interval (5ns) cannot be lower than 1s"]),
    ],
)  # fmt: skip
def test_services(fields: dict[str, Any], texts: list[str]) -> None:
    assert list(service_errors(msgspec.convert({"Name": "s", "Provider": "nomad", **fields}, Service))) == texts


RESTART = {"Limit": 1}
BOTH = [
    ({}, ""),
    ({"Type": "http"}, "http type must have http path"),
    ({"Type": "http", "Path": "/a%zz"}, "http type must have valid http path"),
    ({"Type": "http", "Path": "http://x/"}, "http type must have relative http path"),
    ({"Type": "http", "Path": "/a?b=c"}, ""),
    ({"Interval": 0}, "missing required value interval. Interval cannot be less than 1s"),
    ({"Interval": 5}, "interval (5ns) cannot be lower than 1s"),
    ({"Timeout": 0}, "missing required value timeout. Timeout cannot be less than 1s"),
    ({"Timeout": 5}, "timeout (5ns) is lower than required minimum timeout 1s"),
    ({"InitialStatus": "x"}, 'invalid initial check state (x), must be one of "passing", "warning", "critical" or empty'),
    ({"AddressMode": "auto"}, 'invalid address_mode "auto" - auto only valid for services'),
    ({"AddressMode": "x"}, 'invalid address_mode "x"'),
    ({"AddressMode": "alloc"}, ""),
    ({"OnUpdate": "x"}, 'on_update must be "require_healthy", "ignore_warnings", or "ignore"; got "x"'),
    ({"OnUpdate": "ignore", "CheckRestart": RESTART}, 'on_update value "ignore" is not compatible with check_restart'),
    ({"OnUpdate": "ignore_warnings", "CheckRestart": RESTART}, 'on_update value "ignore_warnings" not supported with check_restart ignore_warnings value "false"'),
    ({"CheckRestart": {"Limit": -1, "Grace": -1}}, "2 errors occurred:\n\t* limit must be greater than or equal to 0 but found -1\n\t* grace period must be greater than or equal to 0 but found -1\n\n"),
]  # fmt: skip
NOMAD = [
    ({"Type": "grpc"}, 'invalid check type ("grpc"), must be one of tcp, http'),
    ({"Expose": True}, "expose may only be set for Consul service checks"),
    ({"OnUpdate": "ignore_warnings"}, "on_update may only be set to ignore_warnings for Consul service checks"),
    ({"CheckRestart": {"IgnoreWarnings": True}}, "ignore_warnings on check_restart only supported for Consul service checks"),
    ({"AddressMode": "driver"}, "address_mode = driver may only be set for Consul service checks"),
    ({"Type": "http", "Path": "/", "Method": "X"}, 'method type "X" not supported in Nomad http check'),
    ({"Type": "http", "Path": "/", "Method": "POST"}, ""),
    ({"SuccessBeforePassing": 1}, "success_before_passing may only be set for Consul service checks"),
    ({"FailuresBeforeCritical": 1}, "failures_before_critical may only be set for Consul service checks"),
    ({"FailuresBeforeWarning": 1}, "failures_before_warning may only be set for Consul service checks"),
    ({"TLSServerName": "x"}, "tls_server_name may only be set for Consul service checks"),
]  # fmt: skip
CONSUL = [
    ({"Type": "x"}, 'invalid check type ("x"), must be one of grpc, tcp, http, script'),
    ({"Type": "grpc", "Expose": True}, ""),
    ({"Type": "script"}, "script type must have a valid script path"),
    ({"Expose": True}, "expose may only be set on HTTP or gRPC checks"),
    ({"Type": "script", "Command": "x", "SuccessBeforePassing": 1}, 'success_before_passing not supported for check of type "script"'),
    ({"Type": "script", "Command": "x", "FailuresBeforeCritical": 1}, 'failures_before_critical not supported for check of type "script"'),
    ({"Type": "script", "Command": "x", "FailuresBeforeWarning": 1}, 'failures_before_warning not supported for check of type "script"'),
    ({"Notes": "x" * 256}, "notes must not be longer than 255 characters"),
    ({"TLSServerName": "x", "SuccessBeforePassing": 1, "OnUpdate": "ignore_warnings"}, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("provider", "fields", "text"),
    [
        *(("nomad", *row) for row in BOTH + NOMAD),
        *(("consul", fields, f"Check c invalid: {text}" if text else "") for fields, text in BOTH + CONSUL),
    ],
)
def test_checks(provider: str, fields: dict[str, Any], text: str) -> None:
    service = Service(name="s", provider=provider, port_label="http")
    check = msgspec.convert({**CHECK, **fields}, Check)
    assert check_error(check, service) == text
    nowhere = replace(service, port_label="")
    if check.type in ("tcp", "http", "grpc"):
        wanted = 'Check c invalid: check requires a port but neither check nor service "s" have a port'
        assert check_error(check, nowhere) == wanted
        assert check_error(replace(check, port_label="http"), nowhere) == text


def test_services_of_a_group() -> None:
    mode = 'service "d" cannot use address_mode="driver", only services defined in a "task" block can use this mode'
    services = [
        {"Name": "s", "PortLabel": "http", "Provider": "nomad"},
        {"Name": "s", "PortLabel": "http", "Provider": "nomad", "Checks": [{**CHECK, "TaskName": "no"}]},
        {"Name": "d", "AddressMode": "driver"},
    ]
    of_task = [{"Name": "s", "TaskName": "u", "Provider": "nomad", "Checks": [{"Name": "c", "TaskName": "v"}]}] * 2
    found = list(group_service_errors(group(Services=services, Tasks=[{"Name": "t", "Services": of_task}])))
    assert found == [
        'Service s is invalid: may only specify task the service belongs to, got "u"',
        'Check c is invalid: may only specify task the check belongs to, got "v"',
        'Service s is invalid: may only specify task the service belongs to, got "u"',
        'Check c is invalid: may only specify task the check belongs to, got "v"',
        "Check c invalid: refers to non-existent task no",
        mode,
        "Services are not unique: [group->s:http t->s]",
        "Multiple service providers used: task group services must use the same provider",
    ]


def test_script_checks_of_a_group_say_where_they_run() -> None:
    checks = [{"Name": "c", "Type": "script"}]
    services = [{"Name": "s", "Checks": checks}, {"Name": "u", "TaskName": "t", "Checks": checks}]
    assert list(group_check_errors(group(Services=services))) == [
        "Service [g]->s or Check c must specify task parameter"
    ]


def test_services_of_a_task() -> None:
    check = {**CHECK, "PortLabel": "http"}
    services = [
        {"Name": "a", "PortLabel": "no", "AddressMode": "alloc", "Connect": {}},
        {"Name": "b", "PortLabel": "no", "Checks": [check, {**check, "AddressMode": "alloc"}]},
        {"Name": "b", "PortLabel": "no"},
        {"Name": "c", "PortLabel": "8080", "AddressMode": "driver"},
        {"Name": "d", "PortLabel": "own", "Checks": [
            {**CHECK, "Name": "x", "PortLabel": "8080"},
            {**CHECK, "Name": "y", "PortLabel": "70000", "AddressMode": "driver"},
            {**CHECK, "Name": "z", "PortLabel": "8080", "AddressMode": "driver"},
            {**CHECK, "Name": "w", "PortLabel": "gone"},
        ]},
    ]  # fmt: skip
    task = msgspec.convert(
        {"Name": "t", "Services": services, "Resources": {"Networks": [{"DynamicPorts": [{"Label": "own"}]}]}}, Task
    )
    found = list(task_service_errors(task, group(Networks=[{"ReservedPorts": [{"Label": "http"}]}])))
    assert found == [
        'service "a" cannot use address_mode="alloc", only services defined in a "group" block can use this mode',
        'service "a" cannot have "connect" block, only services defined in a "group" block can',
        'check "c" is duplicate',
        'check "c" cannot use address_mode="alloc", only checks defined in a "group" service block can use this mode',
        'service "b" is duplicate',
        'check "x" cannot use a numeric port 8080 without setting address_mode="driver"',
        'check "y" has invalid numeric port 70000',
        'port label "gone" referenced by services d does not exist',
        'port label "no" referenced by services a, b does not exist',
    ]


def test_a_check_without_any_port() -> None:
    task = msgspec.convert({"Name": "t", "Services": [{"Name": "s", "Checks": [CHECK]}]}, Task)
    assert list(task_service_errors(task, group()))[-1] == 'check "c" is missing a port'
