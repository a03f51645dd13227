"""Tasks and their blocks (spec job-model §5.4, §5.9, §5.11, §5.13)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from yurt.fsm.job.validate.artifact import artifact_errors
from yurt.fsm.job.validate.extras import plugin_errors, vault_errors
from yurt.fsm.job.validate.identity import identity_errors
from yurt.fsm.job.validate.paths import ESCAPES, escapes
from yurt.fsm.job.validate.resources import log_errors, resources_errors
from yurt.fsm.job.validate.task import task_errors
from yurt.fsm.job.validate.template import template_errors
from yurt.fsm.job.validate.volume import mount_errors, volume_errors
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.identity import WorkloadIdentity
from yurt.fsm.structs.policies import EphemeralDisk, UpdateStrategy
from yurt.fsm.structs.resources import LogConfig, Resources
from yurt.fsm.structs.task import Artifact, CSIPluginConfig, Task, Template, Vault
from yurt.fsm.structs.volume import VolumeMount, VolumeRequest

MINUTE = 60 * 10**9
DISTINCT = "Constraint 1 has disallowed Operand at task level"


def listed(*texts: str) -> str:
    head = "1 error occurred:" if len(texts) == 1 else f"{len(texts)} errors occurred:"
    return head + "".join(f"\n\t* {text}" for text in texts) + "\n\n"


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({}, []),
        ({"Name": ""}, ["Missing task name"]),
        ({"Name": "alloc"}, ['Task cannot be named "alloc"']),
        ({"Name": "a\\b"}, ["Task name cannot include slashes"]),
        ({"Name": "a\0b"}, ["Task name cannot include null characters"]),
        ({"Driver": ""}, ["Missing task driver"]),
        ({"KillTimeout": -1}, ["KillTimeout must be a positive value"]),
        ({"KillTimeout": 15 * MINUTE}, ["KillTimout (15m0s) longer than the group's ProgressDeadline (10m0s)"]),
        ({"ShutdownDelay": -1}, ["ShutdownDelay must be a positive value"]),
        ({"Resources": {"MemoryMB": 1}}, [listed(listed("minimum MemoryMB value is 10; got 1"))]),
        ({"LogConfig": {"MaxFiles": 30}}, [listed("log storage (300 MB) must be less than requested disk capacity (300 MB)")]),
        ({"Constraints": [{"Operand": "distinct_hosts"}]}, [f"{DISTINCT}: distinct_hosts"]),
        ({"Constraints": [{"Operand": "distinct_property", "LTarget": "a", "RTarget": "0"}]}, [
            "Constraint 1 validation failed: " + listed("Distinct Property must have an allowed count of 1 or greater: 0 < 1"),
            f"{DISTINCT}: distinct_property",
        ]),
        ({"Affinities": [{"LTarget": "a", "Operand": "="}]}, ["Affinity 1 validation failed: " + listed('Operator "=" requires an RTarget')]),
        ({"Services": [{"Name": "a_", "Provider": "nomad"}]}, None),
        ({"Artifacts": [{"GetterSource": "x"}, {}]}, ["Artifact 2 validation failed: " + listed("source must be specified")]),
        ({"Vault": {"ChangeMode": "x"}}, ["Vault validation failed: " + listed('Unknown change mode "x"')]),
        ({"Templates": [{"DestPath": "x", "EmbeddedTmpl": "y"}, {"DestPath": "x", "SourcePath": "y"}]}, ["Template 2 has same destination as 1"]),
        ({"Actions": [{"Name": "a", "Command": "c"}, {"Name": "a", "Command": "c"}, {"Name": "a", "Command": "c"}]}, ["Action a defined multiple times"]),
        ({"Actions": [{"Name": "a b"}]}, ["Action a b validation failed: " + listed("command cannot be empty", "invalid name 'a b'")]),
        ({"DispatchPayload": {"File": "../../x"}}, [f"Dispatch Payload validation failed: {ESCAPES}"]),
        ({"DispatchPayload": {"File": ""}}, []),
        ({"Lifecycle": {}}, ["Lifecycle validation failed: no lifecycle hook provided"]),
        ({"Lifecycle": {"Hook": "x"}}, ["Lifecycle validation failed: invalid hook: x"]),
        ({"Lifecycle": {"Hook": "poststop"}}, []),
        ({"VolumeMounts": [{"Volume": "v"}, {"Volume": "no"}]}, ["Volume Mount (1) references undefined volume no"]),
        ({"VolumeMounts": [{"Volume": "v", "PropagationMode": "x"}]}, [f'Volume Mount (0) is invalid: "{listed("volume mount has an invalid propagation mode: " + chr(34) + "x" + chr(34))}"']),
        ({"CSIPluginConfig": {"ID": "a", "Type": "node"}}, []),
        ({"Identity": {"Name": "default", "TTL": 5}}, ['Identity "default" is invalid: ' + listed("ttl for default identity not yet supported")]),
        ({"Identities": [{"Name": "default"}]}, ["Duplicate default identities found"]),
        ({"Secrets": [{"Name": "a", "Provider": "vault", "Path": "p"}] * 2}, [
            'Secret "a" has provider "vault" but no vault block', 'Duplicate secret "a" found', 'Secret "a" has provider "vault" but no vault block',
        ]),
        ({"Secrets": [{}]}, ['Secret "" is invalid: ' + listed(
            "secret name cannot be empty", "secret name must match regex ^[a-zA-Z0-9_]{1,128}$", "secret provider cannot be empty", "secret path cannot be empty",
        )]),
        ({"Secrets": [{"Name": "a", "Provider": "nomad", "Path": "p", "Env": {"a": "b"}}]}, ['Secret "a" is invalid: ' + listed("nomad provider cannot use the env block")]),
        ({"Secrets": [{"Name": "a", "Provider": "x", "Path": "p", "Config": {"a": "b"}}]}, ['Secret "a" is invalid: ' + listed("custom plugin provider x cannot use the config block")]),
    ],
)  # fmt: skip
def test_tasks(fields: dict[str, Any], texts: list[str] | None) -> None:
    task = msgspec.convert({"Name": "t", "Driver": "d", **fields}, Task)
    group = TaskGroup(
        name="g", tasks=(task,), ephemeral_disk=EphemeralDisk(), volumes={"v": VolumeRequest()},
        update=UpdateStrategy(progress_deadline=10 * MINUTE),
    )  # fmt: skip
    found = list(task_errors(task, group, "service"))
    if texts is None:
        assert len(found) == 1 and found[0].startswith(
            '1 error occurred:\n\t* service[0] "a_" validation failed: 1 error'
        )
    else:
        assert found == texts


@pytest.mark.parametrize(
    ("path", "out"),
    [("", False), ("local/x", False), ("/etc/x", False), ("../x", False), ("a/../../x", False), ("../../x", True), ("a/../../../x", True), ("..x/../..", False)],
)  # fmt: skip
def test_paths(path: str, out: bool) -> None:
    assert escapes(path) is out


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({}, []),
        ({"EmbeddedTmpl": "", "DestPath": ""}, ["Must specify a source path or have an embedded template", "Must specify a destination for the template"]),
        ({"DestPath": "../../x"}, [ESCAPES]),
        ({"ChangeMode": "signal"}, ["Must specify signal value when change mode is signal"]),
        ({"ChangeMode": "signal", "ChangeSignal": "SIGHUP", "Envvars": True}, ["cannot use signals with env var templates"]),
        ({"ChangeMode": "script"}, ["must specify change script configuration value when change mode is script"]),
        ({"ChangeMode": "script", "ChangeScript": {}}, ["must specify script path value when change mode is script"]),
        ({"ChangeMode": "x"}, ["Invalid change mode. Must be one of the following: noop, signal, script, restart"]),
        ({"Splay": -1}, ["Must specify positive splay value"]),
        ({"Perms": "999"}, ['Failed to parse "999" as octal: strconv.ParseUint: parsing "999": invalid syntax']),
        ({"Perms": "77777"}, ['Failed to parse "77777" as octal: strconv.ParseUint: parsing "77777": value out of range']),
        ({"Perms": "0755"}, []),
        ({"Perms": "04755"}, ['perms "04755" asks for more than rights: bits above 0777 (setuid, setgid, sticky) are not allowed']),
        ({"Wait": {"Min": 5, "Max": 2}}, ["wait min 5ns is greater than max 2ns"]),
        ({"Wait": {"Min": 5}}, []),
    ],
)  # fmt: skip
def test_templates(fields: dict[str, Any], texts: list[str]) -> None:
    template = msgspec.convert({"DestPath": "local/x", "EmbeddedTmpl": "x", **fields}, Template)
    assert list(template_errors(template)) == texts


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({}, []),
        ({"GetterMode": "x"}, ['invalid artifact mode "x"; must be one of: any, file, dir']),
        ({"RelativeDest": "../../.."}, [ESCAPES]),
        ({"GetterOptions": {"checksum": " "}}, ["checksum value cannot be empty"]),
        ({"GetterOptions": {"checksum": "x"}}, ['checksum must be given as "type:value"; got "x"']),
        ({"GetterOptions": {"checksum": "md5:xy"}}, ["invalid checksum: encoding/hex: invalid byte: U+0078 'x'"]),
        ({"GetterOptions": {"checksum": "md5:abc"}}, ["invalid checksum: encoding/hex: odd length hex string"]),
        ({"GetterOptions": {"checksum": "crc:ab"}}, ["unsupported checksum type: crc"]),
        ({"GetterOptions": {"checksum": "md5:ab"}}, ["invalid md5 checksum: ab"]),
        ({"GetterOptions": {"checksum": "sha256:" + "ab" * 32}}, []),
        ({"GetterOptions": {"checksum": "md5:${x}"}}, []),
    ],
)  # fmt: skip
def test_artifacts(fields: dict[str, Any], texts: list[str]) -> None:
    assert list(artifact_errors(msgspec.convert({"GetterSource": "s", **fields}, Artifact))) == texts


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({}, []),
        ({"CPU": 0}, [listed("minimum CPU value is 1; got 0")]),
        ({"CPU": 10, "Cores": 1}, ["Task can only ask for 'cpu' or 'cores' resource, not both."]),
        ({"CPU": 0, "Cores": 1}, []),
        ({"CPU": 0, "Cores": -1}, ["cores value (-1) cannot be negative"]),
        ({"CPU": 0, "MemoryMB": 5}, [listed("minimum CPU value is 1; got 0", "minimum MemoryMB value is 10; got 5")]),
        ({"Devices": [{}]}, ["device 1 failed validation: " + listed("device name must be given as one of the following: type, vendor/type, or vendor/type/name")]),
        ({"Devices": [{"Name": "g", "Constraints": [{"Operand": "distinct_hosts"}]}]}, ["device 1 failed validation: " + listed('Constraint 1 validation failed: using unsupported operand "distinct_hosts"')]),
        ({"Devices": [{"Name": "g", "Affinities": [{"LTarget": "a", "Operand": "x"}]}]}, ["device 1 failed validation: " + listed("Affinity 1 validation failed: " + listed('Unknown affinity operator "x"'))]),
        ({"NUMA": {"Affinity": "x", "Devices": ["y"]}}, ['numa device "y" not requested as task resource', "numa affinity must be one of none, prefer, or require"]),
        ({"MemoryMaxMB": 4}, ["MemoryMaxMB value (4) should be larger than MemoryMB value (300)"]),
        ({"MemoryMaxMB": -1}, []),
        ({"SecretsMB": 301}, ["SecretsMB value (301) cannot be larger than MemoryMB value (300)"]),
        ({"SecretsMB": -1}, ["SecretsMB value (-1) cannot be negative"]),
    ],
)  # fmt: skip
def test_resources(fields: dict[str, Any], texts: list[str]) -> None:
    assert list(resources_errors(msgspec.convert(fields, Resources))) == texts


def test_logs() -> None:
    assert list(log_errors(LogConfig(max_files=0, max_file_size_mb=0), 300)) == [
        "minimum number of files is 1; got 0",
        "minimum file size is 1MB; got 0",
    ]
    assert not list(log_errors(LogConfig(), 101))


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({}, []),
        ({"Name": "a b"}, ['invalid name "a b". Must match regex ^[a-zA-Z0-9-_]{1,128}$']),
        ({"Audience": [""]}, ["an empty string is an invalid audience (1)"]),
        ({"ChangeMode": "restart", "ChangeSignal": "SIGHUP"}, ['can only use change_signal="SIGHUP" with change_mode="signal"']),
        ({"ChangeMode": "signal"}, ['change_signal must be specified when using change_mode="signal"']),
        ({"ChangeMode": "x"}, ["invalid change_mode: x"]),
        ({"TTL": -1}, ["ttl must be >= 0"]),
        ({"Filepath": "x"}, ["file parameter must be true in order to specify filepath"]),
        ({"Filepath": "x", "File": True, "TTL": 5, "ChangeMode": "signal", "ChangeSignal": "SIGHUP"}, []),
    ],
)  # fmt: skip
def test_identities(fields: dict[str, Any], texts: list[str]) -> None:
    assert list(identity_errors(msgspec.convert({"Name": "i", **fields}, WorkloadIdentity))) == texts


def test_vault_and_plugins() -> None:
    assert list(vault_errors(Vault(change_mode="signal", change_signal=""))) == [
        'Signal must be specified when using change mode "signal"'
    ]
    assert not list(vault_errors(Vault(change_mode="noop")))
    assert list(plugin_errors(CSIPluginConfig(type="x"))) == [
        "CSIPluginConfig must have a non-empty PluginID",
        "CSIPluginConfig PluginType must be one of 'node', 'controller', or 'monolith', got: \"x\"",
    ]


@pytest.mark.parametrize(
    ("fields", "group", "kind", "texts"),
    [
        ({"Type": "host"}, {}, "service", []),
        ({"Type": "host", "Source": ""}, {}, "service", ["volume has an empty source"]),
        ({"Type": "host", "PerAlloc": True, "Sticky": True}, {"Update": {"Canary": 1}}, "sysbatch", [
            "volume cannot be per_alloc for system or sysbatch jobs", "volume cannot be per_alloc when canaries are in use",
            "volume cannot be per_alloc and sticky at the same time",
        ]),
        ({"Type": "host", "MountOptions": {}}, {}, "service", ["host volumes cannot have mount options"]),
        ({"Type": "host", "AccessMode": "single-node-reader-only"}, {}, "service", ["single-node-reader-only volumes must be read-only"]),
        ({"Type": "host", "AccessMode": "multi-node-multi-writer"}, {}, "service", ["host volumes cannot be mounted with multi-node-multi-writer access mode"]),
        ({"Type": "csi"}, {}, "service", ["CSI volumes must have an attachment mode", "CSI volumes must have an access mode"]),
        ({"Type": "csi", "AttachmentMode": "block-device", "MountOptions": {}, "AccessMode": "multi-node-multi-writer"}, {}, "service", ["block devices cannot have mount options"]),
        ({"Type": "csi", "AttachmentMode": "file-system", "AccessMode": "multi-node-reader-only"}, {}, "service", ["multi-node-reader-only volumes must be read-only"]),
        ({"Type": "csi", "AttachmentMode": "file-system", "AccessMode": "single-node-writer"}, {"Count": 2}, "service", ["volume with single-node-writer access mode allows only one reader or writer"]),
        ({"Type": "csi", "AttachmentMode": "file-system", "AccessMode": "single-node-reader-only", "ReadOnly": True}, {"Count": 2}, "service", ["volume with single-node-reader-only access mode allows only one reader"]),
        ({"Type": "csi", "AttachmentMode": "file-system", "AccessMode": "multi-node-single-writer"}, {"Count": 2}, "service", ["volume with multi-node-single-writer access mode allows only one writer"]),
        ({"Type": "csi", "AttachmentMode": "file-system", "AccessMode": "single-node-writer", "PerAlloc": True}, {"Count": 2}, "service", []),
    ],
)  # fmt: skip
def test_volumes(fields: dict[str, Any], group: dict[str, Any], kind: str, texts: list[str]) -> None:
    volume = msgspec.convert({"Source": "s", **fields}, VolumeRequest)
    assert list(volume_errors(volume, msgspec.convert(group, TaskGroup), kind)) == texts


def test_mounts() -> None:
    assert list(mount_errors(VolumeMount(propagation_mode="x", selinux_label="q"))) == [
        "volume mount references an empty volume",
        'volume mount has an invalid propagation mode: "x"',
        'volume mount has an invalid SELinux label: "q"',
    ]
    assert not list(mount_errors(VolumeMount(volume="v", propagation_mode="bidirectional", selinux_label="Z")))
