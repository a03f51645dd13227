"""The validation of health checks: the first error of each (spec job-model §5.5.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from yurt.fsm.job.multierror import multierror
from yurt.fsm.lang.duration import format_duration
from yurt.fsm.structs.service import Check, CheckRestart, Service

_URL = re.compile(r"(?!:)([^\x00-\x1f\x7f%]|%[0-9A-Fa-f]{2})+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
PERIOD_MIN_NS = 1_000_000_000
NOTES_BYTES_MAX = 255
UPDATES = ("require_healthy", "ignore_warnings", "ignore")
ADDRESS_MODES = ("", "host", "driver", "alloc", "alloc_ipv6")
NEED_PORT = ("http", "tcp", "grpc")
_TYPES = {"nomad": ("tcp", "http"), "consul": ("grpc", "tcp", "http", "script")}
_METHODS = ("", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE")
_THRESHOLDS = ("success_before_passing", "failures_before_critical", "failures_before_warning")


def check_error(check: Check, service: Service) -> str:
    """The first thing wrong with a check of a service of a known provider; empty if there is none."""
    if check.type in NEED_PORT and not check.port_label and not service.port_label:
        needed = f'check requires a port but neither check nor service "{service.name}" have a port'
        return f"Check {check.name} invalid: {needed}"
    of_provider = _nomad_errors if service.provider == "nomad" else _consul_errors
    error = next(_errors(check, _TYPES[service.provider]), "") or next(of_provider(check), "")
    return f"Check {check.name} invalid: {error}" if error and service.provider == "consul" else error


def _errors(check: Check, types: tuple[str, ...]) -> Iterator[str]:
    if check.type not in types:
        yield f'invalid check type ("{check.type}"), must be one of {", ".join(types)}'
    if check.type == "http":
        yield from _path_errors(check.path)
    if check.type == "script" and not check.command:
        yield "script type must have a valid script path"
    if check.interval == 0:
        yield "missing required value interval. Interval cannot be less than 1s"
    if check.interval < PERIOD_MIN_NS:
        yield f"interval ({format_duration(check.interval)}) cannot be lower than 1s"
    if check.timeout == 0:
        yield "missing required value timeout. Timeout cannot be less than 1s"
    if check.timeout < PERIOD_MIN_NS:
        yield f"timeout ({format_duration(check.timeout)}) is lower than required minimum timeout 1s"
    if check.initial_status not in ("", "passing", "warning", "critical"):
        states = '"passing", "warning", "critical" or empty'
        yield f"invalid initial check state ({check.initial_status}), must be one of {states}"
    if check.address_mode == "auto":
        yield 'invalid address_mode "auto" - auto only valid for services'
    if check.address_mode not in ADDRESS_MODES:
        yield f'invalid address_mode "{check.address_mode}"'
    if check.on_update not in UPDATES:
        yield f'on_update must be "require_healthy", "ignore_warnings", or "ignore"; got "{check.on_update}"'
    if check.check_restart is not None:
        yield from _restart_errors(check.check_restart, check.on_update)


def _path_errors(path: str) -> Iterator[str]:
    if not path:
        yield "http type must have http path"
    elif not _URL.fullmatch(path):
        yield "http type must have valid http path"
    elif _SCHEME.match(path):
        yield "http type must have relative http path"


def _restart_errors(restart: CheckRestart, on_update: str) -> Iterator[str]:
    if on_update == "ignore":
        yield 'on_update value "ignore" is not compatible with check_restart'
    if on_update == "ignore_warnings" and not restart.ignore_warnings:
        yield ('on_update value "ignore_warnings" not supported with check_restart ignore_warnings value "false"')
    errors = []
    if restart.limit < 0:
        errors.append(f"limit must be greater than or equal to 0 but found {restart.limit}")
    if restart.grace < 0:
        errors.append(f"grace period must be greater than or equal to 0 but found {restart.grace}")
    if errors:
        yield multierror(errors)


def _nomad_errors(check: Check) -> Iterator[str]:
    if check.expose:
        yield "expose may only be set for Consul service checks"
    if check.on_update == "ignore_warnings":
        yield "on_update may only be set to ignore_warnings for Consul service checks"
    if check.check_restart is not None and check.check_restart.ignore_warnings:
        yield "ignore_warnings on check_restart only supported for Consul service checks"
    if check.address_mode == "driver":
        yield "address_mode = driver may only be set for Consul service checks"
    if check.type == "http" and check.method not in _METHODS:
        yield f'method type "{check.method}" not supported in Nomad http check'
    for name in (*_THRESHOLDS, "tls_server_name"):
        if getattr(check, name):
            yield f"{name} may only be set for Consul service checks"


def _consul_errors(check: Check) -> Iterator[str]:
    if check.expose and check.type not in ("http", "grpc"):
        yield "expose may only be set on HTTP or gRPC checks"
    if check.type == "script":
        for name in _THRESHOLDS:
            if getattr(check, name):
                yield f'{name} not supported for check of type "script"'
    if len(check.notes.encode()) > NOTES_BYTES_MAX:
        yield f"notes must not be longer than {NOTES_BYTES_MAX} characters"
