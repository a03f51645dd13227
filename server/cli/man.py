"""`yurt man DIRECTORY`: manual pages from the same source as `--help`, one a command."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from yurt import __version__
from yurt.server.cli.output import fail


def commands(
    command: click.Command, words: tuple[str, ...] = ("yurt",)
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """A command and all below it, with their words; hidden ones are left out."""
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from commands(below, (*words, name))


def page(words: tuple[str, ...], command: click.Command) -> str:
    """One manual page in roff."""
    context = click.Context(command, info_name=" ".join(words))
    summary = command.get_short_help_str(200)
    lines = [
        f'.TH "{"-".join(words).upper()}" 1 "" "Yurt {__version__}" "Yurt"',
        ".SH NAME", f"{_plain('-'.join(words))} \\- {_plain(summary)}",
        ".SH SYNOPSIS", f".B {_plain(' '.join(words))}", _plain(" ".join(command.collect_usage_pieces(context))),
        ".SH DESCRIPTION", *_paragraphs(inspect.cleandoc(command.help or summary)),
    ]  # fmt: skip
    if options := [one.get_help_record(context) for one in command.get_params(context)]:
        lines.append(".SH OPTIONS")
        for record in filter(None, options):
            lines += [".TP", f".B {_plain(record[0].replace('--', '-'))}", _plain(record[1])]
    if isinstance(command, click.Group):
        lines.append(".SH COMMANDS")
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                lines += [".TP", f".B {_plain(name)}", _plain(below.get_short_help_str(200))]
    if len(words) > 1:
        lines += [".SH SEE ALSO", f".BR {_plain('-'.join(words[:-1]))} (1)"]
    return "\n".join(lines) + "\n"


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".PP"
        yield _plain(" ".join(paragraph.split()))


def _plain(text: str) -> str:
    """Text that roff takes as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    escaped = "".join(one if one.isascii() else f"\\[u{ord(one):04X}]" for one in escaped)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def write(directory: Path) -> list[Path]:
    """Write all pages; their files."""
    from yurt.server.cli.main import cli  # it loads this module when it is asked for this command

    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for words, command in commands(cli):
        file = directory / f"{'-'.join(words)}.1"
        file.write_text(page(words, command), encoding="utf-8")
        written.append(file)
    return written


@click.command(name="man")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def man(directory: Path) -> None:
    """Write manual pages of all commands into a directory."""
    try:
        click.echo(f"{len(write(directory))} pages written to {directory}")
    except OSError as error:
        fail(f"Error: cannot write {error.filename}: {error.strerror}")
