"""The validation of templates (spec job-model §5.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from yurt.fsm.job.multierror import multierror
from yurt.fsm.job.validate.paths import ESCAPES, escapes
from yurt.fsm.lang.duration import format_duration
from yurt.fsm.structs.task import Template

PERMS_MAX = 0o7777
_OCTAL = re.compile(r"[0-7]+")


def template_list_errors(templates: tuple[Template, ...] | None) -> Iterator[str]:
    """A bullet for each template that is wrong or writes where an earlier one does, numbered from 1."""
    destinations: dict[str, int] = {}
    for number, template in enumerate(templates or (), start=1):
        if errors := list(template_errors(template)):
            yield f"Template {number} validation failed: {multierror(errors)}"
        if template.dest_path in destinations:
            yield f"Template {number} has same destination as {destinations[template.dest_path]}"
        else:
            destinations[template.dest_path] = number


def template_errors(template: Template) -> Iterator[str]:
    """Yield the errors of one template, in order."""
    if not template.source_path and not template.embedded_tmpl:
        yield "Must specify a source path or have an embedded template"
    if not template.dest_path:
        yield "Must specify a destination for the template"
    elif escapes(template.dest_path):
        yield ESCAPES
    yield from _change_errors(template)
    if template.splay < 0:
        yield "Must specify positive splay value"
    if template.perms and (error := _perms_error(template.perms)):
        yield error
    wait = template.wait
    if wait is not None and wait.min is not None and wait.max is not None and wait.min > wait.max:
        yield f"wait min {format_duration(wait.min)} is greater than max {format_duration(wait.max)}"


def _change_errors(template: Template) -> Iterator[str]:
    mode = template.change_mode
    if mode == "signal":
        if not template.change_signal:
            yield "Must specify signal value when change mode is signal"
        if template.envvars:
            yield "cannot use signals with env var templates"
    elif mode == "script":
        if template.change_script is None:
            yield "must specify change script configuration value when change mode is script"
        elif not template.change_script.command:
            yield "must specify script path value when change mode is script"
    elif mode not in ("noop", "restart"):
        yield "Invalid change mode. Must be one of the following: noop, signal, script, restart"


def _perms_error(perms: str) -> str:
    if not _OCTAL.fullmatch(perms):
        reason = "invalid syntax"
    elif len(perms.lstrip("0")) > 4:
        reason = "value out of range"
    elif int(perms, 8) > 0o777:
        return f'perms "{perms}" asks for more than rights: bits above 0777 (setuid, setgid, sticky) are not allowed'
    else:
        return ""
    return f'Failed to parse "{perms}" as octal: strconv.ParseUint: parsing "{perms}": {reason}'
