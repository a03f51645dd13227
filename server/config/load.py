"""Reading the configuration: files and directories merged in order, then flags, then the first checks."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any

import msgspec
import orjson

from yurt.fsm.errors import YurtError
from yurt.fsm.job.decode import DEPTH_MAX
from yurt.server.config.agent import AgentConfig, Limits, nanoseconds
from yurt.server.config.secrets import BadSecret, check_rpc_port
from yurt.server.hcl.diagnostics import HclError
from yurt.server.hcl.document import load_document
from yurt.server.platform.address import is_loopback, join_address, split_address

ANY_PORT = 1  # in place of one that is chosen later
_REGION = re.compile(r"[a-zA-Z0-9._-]+\Z")


LIMITS_WITHOUT_0 = {
    "http_head_bytes_max", "http_headers_max", "http_target_bytes_max", "http_body_bytes_max",
    "http_blocking_queries_max",
}  # fmt: skip


class ConfigError(YurtError):
    """The configuration cannot be used; the text says which key of which file."""


def load(paths: list[str], flags: dict[str, Any]) -> AgentConfig:
    """The configuration of files and directories (later ones win), overlaid by flags; raises `ConfigError`."""
    merged: dict[str, Any] = {}
    for path in paths:
        for file in _files(Path(path)):
            body = _read(file)
            _typed(body, str(file))
            merged = merge(merged, body)
    config = _with_defaults(_typed(merge(merged, flags), "the flags"))
    check(config)
    return config


def _with_defaults(config: AgentConfig) -> AgentConfig:
    """Fill in what follows from other keys: certificates' roles count where servers speak TLS."""
    if config.tls.verify_server_hostname is not None:
        return config
    tls = msgspec.structs.replace(config.tls, verify_server_hostname=config.tls.rpc)
    return msgspec.structs.replace(config, tls=tls)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix in (".hcl", ".json") and file.is_file())
    return [path]


def _read(file: Path) -> dict[str, Any]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"Error loading configuration from {file}: {error.strerror}") from error
    if data.lstrip()[:1] == b"{":
        try:
            body = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise ConfigError(f"Error loading configuration from {file}: {error}") from error
    else:
        try:
            body = load_document(data.decode("utf-8", "replace"), str(file))
        except HclError as error:
            raise ConfigError(f"Error loading configuration: {error.with_line()}") from error
    if not isinstance(body, dict):
        raise ConfigError(f"Error loading configuration from {file}: want an object")
    return body


def _typed(body: dict[str, Any], origin: str) -> AgentConfig:
    try:
        return msgspec.convert(body, AgentConfig)
    except msgspec.ValidationError as error:
        text = str(error).replace("Object contains unknown field", "unknown key")
        raise ConfigError(f"Error loading configuration from {origin}: {text}") from error


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` over `below`: blocks merge, lists of servers to join append, anything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = merge(old, value)
        elif key in ("retry_join", "start_join") and isinstance(old, list) and isinstance(value, list):
            merged[key] = old + [one for one in value if one not in old]
        else:
            merged[key] = value
    return merged


def _check_limits(limits: Limits) -> None:
    """No limit is below 0; 0 stands for any number where a client could do nothing with none."""
    for name, value in msgspec.structs.asdict(limits).items():
        least = 1 if name in LIMITS_WITHOUT_0 else 0
        if isinstance(value, int | float) and value < least:
            raise ConfigError(f"{name} cannot be {value}. Must be {least} or more")


def library_addresses(config: AgentConfig, port: int) -> tuple[str, str]:
    """Return where pysyncobj listens and where the others dial it; `port` stands in for one that is not configured.

    Raises `ConfigError` for what it cannot use.
    """
    given, advertised = config.server.pysyncobj, config.advertised("rpc")
    listen = given.address or join_address(config.bind("rpc")[0], port)
    host, number = _library_address(listen)
    if not given.address or _is_unspecified(host):
        host = _library_address(given.advertise or advertised)[0]
    dialled = given.advertise or join_address(host, number)
    if _is_unspecified(_library_address(dialled)[0]):
        raise ConfigError(
            f"pysyncobj cannot be dialled at {dialled}, which is every machine: say where the other servers reach it, "
            'server { pysyncobj { advertise = "HOST:PORT" } }'
        )
    return listen, dialled


def _library_address(address: str) -> tuple[str, int]:
    """Host and port, as the library takes them."""
    try:
        host, port = split_address(address)
    except ValueError:
        host, port = "", 0
    if ":" in host:
        raise ConfigError(
            f"pysyncobj cannot use the IPv6 address {address}: give it an IPv4 address or a name, "
            'server { pysyncobj { address = "HOST:PORT" } }'
        )
    if not host or not port or host.split() != [host] or address != join_address(host, port):
        raise ConfigError(f'server.pysyncobj: "{address}" is no address: want HOST:PORT')
    return host, port


def _is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def check_library(config: AgentConfig, addresses: tuple[str, str]) -> None:
    """Refuse a port that whoever reaches it could take the server over by: pysyncobj believes what it is sent."""
    if config.server.pysyncobj.password:
        return
    way_out = (
        "Give it a password of its own, the same on every server, in the configuration of each:\n"
        '    server { pysyncobj { password = "..." } }'
    )
    for host in (split_address(address)[0] for address in addresses):
        if not is_loopback(host):
            raise ConfigError(
                f"pysyncobj would listen on {host} for anybody who can reach it. {way_out}\nOr keep it on this "
                'machine:\n    server { pysyncobj { address = "127.0.0.1:4649" } }'
            )
    if config.client.enabled:
        raise ConfigError(
            f"tasks on this machine reach the port of pysyncobj, and whoever does can run code as the server. {way_out}"
        )


def _check_engine(config: AgentConfig) -> None:
    """Refuse addresses that pysyncobj cannot use, and a port of it that is open to others than servers."""
    if config.server.enabled and config.server.raft_engine == "pysyncobj":
        check_library(config, library_addresses(config, ANY_PORT))


def check(config: AgentConfig) -> None:
    """Refuse what cannot start (spec cluster §16)."""
    server = config.server
    if not server.enabled and not config.client.enabled and not config.dev:
        raise ConfigError("Must specify either server, client or dev mode for the agent.")
    if config.client.enabled and not server.enabled and not config.server_addresses():
        raise ConfigError("A node agent without a server needs to know servers: give client { servers = [...] }")
    if not config.data_dir and not config.dev:
        raise ConfigError('Must specify "data_dir" config option or "data-dir" CLI flag')
    if config.data_dir and not config.data_dir.startswith("/"):
        raise ConfigError(f"data-dir must be given as an absolute path: got {config.data_dir}")
    if not _REGION.match(config.region):
        raise ConfigError("Region contains invalid characters")
    if not 1 <= server.raft_multiplier <= 10:
        raise ConfigError(f"raft_multiplier cannot be {server.raft_multiplier}. Must be between 1 and 10")
    _check_engine(config)
    _check_limits(config.limits)
    if not 1 <= config.limits.http_json_depth_max <= DEPTH_MAX:
        depth = config.limits.http_json_depth_max
        raise ConfigError(f"http_json_depth_max cannot be {depth}. Must be between 1 and {DEPTH_MAX}")
    if server.server_join.retry_join and server.retry_join:
        raise ConfigError("server_join and retry_join cannot both be defined; prefer setting the server_join block")
    if (config.tls.rpc or config.tls.verify_https_client) and not config.tls.ca_file:
        raise ConfigError(
            "tls.rpc and tls.verify_https_client need tls.ca_file: whom the others' certificates are from"
        )
    if (config.tls.rpc or config.tls.http) and not (config.tls.cert_file and config.tls.key_file):
        raise ConfigError("tls.http and tls.rpc need tls.cert_file and tls.key_file")
    if len(config.audit.sink) > 1:
        raise ConfigError("audit has one sink at most")
    for name, sink in config.audit.sink.items():
        if (sink.type, sink.format) != ("file", "json"):
            raise ConfigError(f'audit sink "{name}" must have type "file" and format "json"')
        if sink.delivery_guarantee not in ("enforced", "best-effort"):
            raise ConfigError(f'audit sink "{name}": delivery_guarantee must be "enforced" or "best-effort"')
    if config.tls.tls_min_version not in ("tls12", "tls13"):
        raise ConfigError(f"tls_min_version {config.tls.tls_min_version!r} is not supported: want tls12 or tls13")
    if min(config.log_rotate_bytes, config.log_rotate_max_files) < 0:
        raise ConfigError("log_rotate_bytes and log_rotate_max_files cannot be negative")
    try:
        nanoseconds(config.log_rotate_duration)
    except ValueError as error:
        raise ConfigError(f"Invalid log_rotate_duration: {error}") from None
    try:
        check_rpc_port(config)
    except BadSecret as error:
        raise ConfigError(str(error)) from None
    if config.log_level.upper() not in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR"):
        raise ConfigError(f"Invalid log level: {config.log_level}")
