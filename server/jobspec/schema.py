"""The job's schema as data (spec jobspec-hcl §11): which arguments and blocks there are, and where they go in JSON.

A line of the table is a block's type: words for what it may hold. `name=Field:kind` is an argument (without `=Field`
the field is the name in CamelCase); kinds are `s` string, `i` integer, `i8`, `u8`, `b` boolean, `d` duration, `[s]`,
`[i]` lists, `{s}` a map of strings; `?` before them: null when not set; `!` at the end: required.
`name>type` is a block given once at most, `>>` a list of blocks, `>#` a map of blocks by label. `>{s}` is a block of
strings (`>{s}|`: or an argument), `>free` one of anything, `>header` one of lists. `@Field` takes the label (`@Field/`:
diagnostics have no name for it). `Field:=value` is printed always. A field that starts with `_` is only for decoding.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

_CHECK_UPDATE = "health_check:?s min_healthy_time:?d healthy_deadline:?d"
_PORT = "@Label/ static=Value:i to:i host_network:s ignore_collision:b"
_PLACED = "constraint=Constraints>>constraint affinity=Affinities>>affinity"
_MOVABLE = "vault>vault secret=_secrets>>secret"
_META = "meta>{s}|"

_TABLE = {
    "job": "@_label region:?s namespace:?s id=ID:?s name:?s type:?s priority:?i all_at_once:?b datacenters:[s] "
    f"node_pool:?s {_PLACED} spread=Spreads>>spread group=TaskGroups>>group update>update multiregion>multiregion "
    "periodic>periodic parameterized=ParameterizedJob>parameterized reschedule>reschedule migrate>migrate ui=UI>ui "
    f"{_META} vault=_vault>vault secret=_secrets>>secret task=_tasks>>task Stop:=null ParentID:=null "
    "Dispatched:=false DispatchIdempotencyToken:=null Payload:=null ConsulNamespace:=null VaultNamespace:=null "
    "NomadTokenID:=null Status:=null StatusDescription:=null Stable:=null Version:=null SubmitTime:=null "
    "CreateIndex:=null ModifyIndex:=null JobModifyIndex:=null VersionTag:=null",
    "update": f"stagger:?d max_parallel:?i {_CHECK_UPDATE} progress_deadline:?d canary:?i auto_revert:?b "
    "auto_promote:?b",
    "multiregion": "strategy>strategy region=Regions>>region",
    "strategy": "max_parallel:?i on_failure:?s",
    "region": "@Name/ count:?i datacenters:[s] node_pool:s meta>{s}",
    "periodic": "enabled:?b cron=Spec:?s crons=Specs:[s] prohibit_overlap:?b time_zone:?s SpecType:=null",
    "parameterized": "payload:s meta_required:[s] meta_optional:[s]",
    "ui": "description:s link=Links>>link",
    "link": "label:s url=URL:s",
    "group": "@Name count:?i shutdown_delay:?d max_run_duration:?d stop_after_client_disconnect:?d "
    f"max_client_disconnect:?d prevent_reschedule_on_lost:?b {_PLACED} spread=Spreads>>spread task=Tasks>>task "
    "network=Networks>>network service=Services>>service volume=Volumes>#volume restart=RestartPolicy>restart "
    "disconnect>disconnect reschedule=ReschedulePolicy>reschedule ephemeral_disk>ephemeral_disk update>update "
    f"migrate>migrate {_META} scaling>group_scaling consul>consul vault=_vault>vault secret=_secrets>>secret",
    "restart": "interval:?d attempts:?i delay:?d mode:?s render_templates:?b",
    "reschedule": "attempts:?i interval:?d delay:?d delay_function:?s max_delay:?d unlimited:?b",
    "migrate": f"max_parallel:?i {_CHECK_UPDATE}",
    "disconnect": "lost_after:?d stop_on_client_after:?d replace:?b reconcile:?s",
    "ephemeral_disk": "sticky:?b migrate:?b size=SizeMB:?i",
    "spread": "attribute:s weight:?i8 target=SpreadTarget>>target",
    "target": "@Value/ percent:u8",
    "constraint": "attribute=LTarget:s value=RTarget:s operator=Operand:s version=_version:?s semver=_semver:?s "
    "regexp=_regexp:?s set_contains=_set_contains:?s distinct_hosts=_distinct_hosts:?b "
    "distinct_property=_distinct_property:?s set_contains_all=_set_contains_all:?s "
    "set_contains_any=_set_contains_any:?s is_set=_is_set:?b is_not_set=_is_not_set:?b",
    "affinity": "attribute=LTarget:s value=RTarget:s operator=Operand:s weight:?i8 version=_version:?s "
    "semver=_semver:?s regexp=_regexp:?s set_contains_any=_set_contains_any:?s "
    "set_contains_all=_set_contains_all:?s set_contains=_set_contains:?s",
    "volume": "@Name type:s source:s read_only:b sticky:b access_mode:s attachment_mode:s per_alloc:b "
    "mount_options>mount_options",
    "mount_options": "fs_type=FSType:s mount_flags:[s]",
    "network": "mode:s device:s cidr=CIDR:s ip=IP:s hostname:s mbits=MBits:?i dns=DNS>dns "
    "port=DynamicPorts>>port reserved_ports=ReservedPorts>>port cni=CNI>cni",
    "dns": "servers:[s] searches:[s] options:[s]",
    "port": _PORT,
    "cni": "args:{s}",
    "group_scaling": "min:?i max:?i! enabled:?b type:s policy>free "
    'ID:="" Namespace:="" Target:=null CreateIndex:=0 '
    "ModifyIndex:=0",
    "task_scaling": "@_label min:?i max:?i enabled:?b type:s policy>free "
    'ID:="" Namespace:="" Target:=null '
    "CreateIndex:=0 ModifyIndex:=0",
    "consul": "namespace:s cluster:s partition:s",
    "service": "name:s tags:[s] canary_tags:[s] enable_tag_override:b port=PortLabel:s address_mode:s address:s "
    "task=TaskName:s on_update:s provider:s cluster:s kind:s check=Checks>>check check_restart>check_restart "
    "connect>connect meta>{s} canary_meta>{s} tagged_addresses>{s} identity>identity weights>weights",
    "weights": "passing:i warning:i",
    "check": "name:s type:s command:s args:[s] path:s protocol:s port=PortLabel:s expose:b address_mode:s advertise:s "
    "interval:d timeout:d initial_status:s notes:s tls_server_name=TLSServerName:s tls_skip_verify=TLSSkipVerify:b "
    "method:s grpc_service=GRPCService:s grpc_use_tls=GRPCUseTLS:b task=TaskName:s success_before_passing:i "
    "failures_before_critical:i failures_before_warning:i body:s on_update:s header>header "
    "check_restart>check_restart",
    "check_restart": "limit:i grace:?d ignore_warnings:b",
    "task": "@Name driver:s user:s leader:b kill_timeout:?d kill_signal:s shutdown_delay:d kind:s lifecycle>lifecycle "
    f"config>free env>{{s}}| {_META} resources>resources restart=RestartPolicy>restart logs=LogConfig>logs "
    "vault>vault consul>consul dispatch_payload>dispatch_payload csi_plugin=CSIPluginConfig>csi_plugin "
    f"schedule>schedule {_PLACED} service=Services>>service artifact=Artifacts>>artifact "
    "template=Templates>>template volume_mount=VolumeMounts>>volume_mount scaling=ScalingPolicies>>task_scaling "
    "secret=Secrets>>secret identity=Identities>>identity action=Actions>>action Identity:=null",
    "lifecycle": "hook:s! sidecar:b",
    "logs": "max_files:?i max_file_size=MaxFileSizeMB:?i enabled:?b disabled:?b",
    "resources": "cpu=CPU:?i cores:?i memory=MemoryMB:?i memory_max=MemoryMaxMB:?i disk=DiskMB:?i "
    "secrets=SecretsMB:?i iops=IOPS:?i network=Networks>>network device=Devices>>device numa=NUMA>numa",
    "device": f"@Name/ count:?i {_PLACED}",
    "numa": "affinity:s devices:[s]",
    "artifact": "source=GetterSource:?s mode=GetterMode:?s insecure=GetterInsecure:?b destination=RelativeDest:?s "
    "chown:b options=GetterOptions>{s} headers=GetterHeaders>{s}",
    "template": "source=SourcePath:?s destination=DestPath:?s data=EmbeddedTmpl:?s change_mode:?s change_signal:?s "
    "once:?b splay:?d perms:?s uid:?i gid:?i left_delimiter=LeftDelim:?s right_delimiter=RightDelim:?s "
    "env=Envvars:?b vault_grace:?d error_on_missing_key=ErrMissingKey:?b wait>wait change_script>change_script",
    "wait": "min:?d max:?d",
    "change_script": "command:?s args:[s] timeout:?d fail_on_error:?b run_on_first_render:?b",
    "dispatch_payload": "file:s",
    "vault": "policies:[s] role:s namespace:?s cluster:s env:?b disable_file:?b change_mode:?s change_signal:?s "
    "allow_token_expiration:?b",
    "secret": "@Name provider:s path:s config>free env>{s}",
    "identity": "name:s aud=Audience:[s] change_mode:s change_signal:s env:b file:b filepath:s service_name:s "
    "ttl=TTL:d extra_claims:[s]",
    "action": "@Name command:s! args:[s]",
    "schedule": "cron>cron",
    "cron": "start:s end:s timezone:s",
    "volume_mount": "volume:?s destination:?s read_only:?b propagation_mode:?s selinux_label=SELinuxLabel:?s",
    "csi_plugin": "id=ID:s type:s mount_dir:s stage_publish_base_dir:s health_timeout:d",
    "connect": "native:b sidecar_service>sidecar_service sidecar_task>sidecar_task gateway>gateway",
    "sidecar_service": "tags:[s] port:s disable_default_tcp_check=DisableDefaultTCPCheck:b meta>{s} proxy>proxy",
    "proxy": "local_service_address:s local_service_port:i upstreams>>upstreams expose>expose "
    "transparent_proxy>transparent_proxy config>free ExposeConfig:=null",
    "expose": "path=Paths>>expose_path Path:=null",
    "expose_path": "path:s protocol:s local_path_port:i listener_port:s",
    "upstreams": "destination_name:s destination_namespace:s destination_peer:s destination_partition:s "
    "destination_type:s datacenter:s local_bind_address:s local_bind_socket_path:s local_bind_socket_mode:s "
    "local_bind_port:i mesh_gateway>mesh_gateway config>free",
    "mesh_gateway": "mode:s",
    "transparent_proxy": "uid=UID:s outbound_port:i exclude_inbound_ports:[s] exclude_outbound_ports:[i] "
    "exclude_outbound_cidrs=ExcludeOutboundCIDRs:[s] exclude_uids=ExcludeUIDs:[s] no_dns=NoDNS:b",
    "sidecar_task": "name:s driver:s user:s kill_timeout:?d shutdown_delay:?d kill_signal:s config>free env>{s} "
    "resources>resources meta>{s} logs=LogConfig>logs volume_mount=VolumeMounts>>volume_mount "
    "identity=Identities>>identity",
    "gateway": "proxy>gateway_proxy ingress>ingress terminating>terminating mesh>mesh",
    "gateway_proxy": "connect_timeout:?d envoy_gateway_bind_tagged_addresses:b envoy_gateway_no_default_bind:b "
    "envoy_dns_discovery_type=EnvoyDNSDiscoveryType:s "
    "envoy_gateway_bind_addresses=EnvoyGatewayBindAddresses>#bind_address config>free",
    "bind_address": "@Name/ address:s port:i",
    "ingress": "tls=TLS>tls listener=Listeners>>listener",
    "listener": "port:i protocol:s service=Services>>ingress_service",
    "ingress_service": "name:s hosts:[s] max_connections:?i max_pending_requests:?i max_concurrent_requests:?i "
    "tls=TLS>tls request_headers>modifiers response_headers>modifiers",
    "modifiers": "remove:[s] add>{s} set>{s}",
    "tls": "enabled:b tls_min_version=TLSMinVersion:s tls_max_version=TLSMaxVersion:s cipher_suites:[s] sds=SDS>sds",
    "sds": "cluster_name:s cert_resource:s",
    "terminating": "service=Services>>linked",
    "linked": "name:s ca_file=CAFile:s cert_file:s key_file:s sni=SNI:s",
    "mesh": "",
}


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument's field and kind; `zero` is what is printed when it is not set."""

    name: str
    field: str
    kind: str
    is_nullable: bool
    is_required: bool
    zero: Any


@dataclass(frozen=True, slots=True)
class Child:
    """A nested block's field; `how` is `one`, `list`, `map`, `strings`, `strings|`, `free` or `header`."""

    name: str
    field: str
    how: str
    type: str


@dataclass(slots=True)
class BlockType:
    """The schema of a block. `label` is the field of its label, None if it has none; `label_name` names it."""

    label: str | None = None
    label_name: str = "name"
    arguments: dict[str, Argument] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)


_ZEROS: dict[str, Any] = {"s": "", "i": 0, "i8": 0, "u8": 0, "b": False, "d": 0}
_HOW = {"{s}": "strings", "{s}|": "strings|", "free": "free", "header": "header"}


def _block_type(text: str) -> BlockType:
    found = BlockType()
    for word in text.split():
        if word[0] == "@":
            found.label, found.label_name = word[1:].rstrip("/"), "" if word.endswith("/") else "name"
        elif ":=" in word:
            name, _, value = word.partition(":=")
            found.constants[name] = json.loads(value)
        elif ">" in word:
            name, target, rest = _names(word, ">")
            how = _HOW.get(rest) or {">": "list", "#": "map"}.get(rest[0], "one")
            found.children[name] = Child(name, target, how, rest.lstrip(">#"))
        else:
            name, target, kind = _names(word, ":")
            plain = kind.strip("?!")
            zero = None if kind[0] == "?" else _ZEROS.get(plain)
            nullable = kind[0] in "?[{"
            found.arguments[name] = Argument(name, target, plain, nullable, kind.endswith("!"), zero)
    return found


def _names(word: str, separator: str) -> tuple[str, str, str]:
    names, _, rest = word.partition(separator)
    name, _, target = names.partition("=")
    return name, target or "".join(part.capitalize() for part in name.split("_")), rest


BLOCK_TYPES: dict[str, BlockType] = {name: _block_type(text) for name, text in _TABLE.items()}
