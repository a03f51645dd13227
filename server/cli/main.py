"""The `yurt` command: a noun, a verb, flags with one dash or two."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from yurt import __version__

# noun or short form → (module, attribute); loaded only when used, so that `yurt agent` starts quickly
COMMANDS = {
    "acl": ("acl", "acl"),
    "agent": ("agent", "agent"),
    "alloc": ("alloc", "alloc"),
    "completion": ("completion", "completion"),
    "deployment": ("deployment", "deployment"),
    "eval": ("evaluation", "evaluation"),
    "experiment": ("experiment", "experiment"),
    "init": ("job_init", "init"),
    "job": ("job", "job"),
    "man": ("man", "man"),
    "monitor": ("monitor", "monitor"),
    "namespace": ("namespace", "namespace"),
    "node": ("node", "node"),
    "operator": ("operator", "operator"),
    "plan": ("job_plan", "plan"),
    "run": ("job_write", "run"),
    "server": ("server", "server"),
    "status": ("job_read", "status"),
    "stop": ("job_write", "stop"),
    "system": ("system", "system"),
    "tls": ("tls", "tls"),
    "var": ("var", "var"),
    "version": ("version", "version"),
}


class LazyGroup(click.Group):
    """A group that imports a subcommand's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All nouns, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"yurt.server.cli.{module}"), attribute)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", "-v", prog_name="Yurt", message="%(prog)s v%(version)s")
def cli() -> None:
    """Yurt: a Raft-replicated job state store, wire-compatible with Nomad's Jobs API.

    Flags take one dash or two. The server's address is taken from -address, else YURT_ADDR, else NOMAD_ADDR.
    """


def two_dashes(arguments: list[str]) -> list[str]:
    """Arguments with `-flag` written as `--flag`, as click wants long flags; `-h`, `-v`, `-` and numbers stay."""
    if arguments[:2] == ["alloc", "exec"]:
        end = _begin_of_command(arguments)
        return _two_dashes(arguments[:end]) + arguments[end:]
    return _two_dashes(arguments)


def _begin_of_command(arguments: list[str]) -> int:
    """Where the first word of `alloc exec` stands that is no flag: from there on nothing is ours."""
    position = 2
    while position < len(arguments) and arguments[position].startswith("-"):
        flag = arguments[position].lstrip("-")
        alone = "=" in flag or set(flag) <= set("ith") or flag in ("help", "no-i", "no-t")
        position += 1 if alone else 2
    return position


def _two_dashes(arguments: list[str]) -> list[str]:
    changed: list[str] = []
    for position, argument in enumerate(arguments):
        if argument == "--":
            return changed + arguments[position:]
        if argument in ("-i=false", "-t=false"):
            changed.append(f"--no-{argument[1]}")
            continue
        argument = argument.removesuffix("=true") if argument in ("-i=true", "-t=true") else argument
        flag = len(argument) > 2 and argument[0] == "-" and argument[1].isalpha() and argument != "-it"
        changed.append("-" + argument if flag else argument)
    return changed


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; exit codes: 0 done, 1 failed or wrong usage, 2 placement failed (`job run`, `eval`)."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        cli.main(two_dashes(given), prog_name="yurt", standalone_mode=False)
    except click.exceptions.Exit as ended:
        raise SystemExit(ended.exit_code) from None
    except click.Abort:
        raise SystemExit(1) from None
    except click.ClickException as error:
        error.show()
        raise SystemExit(1) from None
