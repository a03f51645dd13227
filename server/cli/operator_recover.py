"""`yurt operator raft inspect|recover`: a stopped server's files."""

from __future__ import annotations

import os
from typing import Any

import click
import orjson

from yurt.fsm.errors import YurtError
from yurt.server.cli.options import as_json
from yurt.server.cli.output import fail, pairs, print_json, table
from yurt.server.raft.peer import Servers
from yurt.server.raft.storage.data_dir import DataDirectory
from yurt.server.raft.storage.disk import RealDisk
from yurt.server.raft.storage.inspect import Examination, Examined
from yurt.server.raft.storage.peers_file import NOTE, NOTE_TEXT, PEERS, check_servers
from yurt.server.raft.storage.recover import Plan, TermReset, plan, recover_if_asked, reset_term
from yurt.server.raft.transport.forming import stored_configuration


def _raft_directory(data_directory: str) -> str:
    """Accepts the data directory, or what lies in it."""
    for path in (f"{data_directory}/server/raft", f"{data_directory}/raft", data_directory):
        if os.path.isdir(f"{path}/log") or os.path.isdir(f"{path}/snapshots"):
            return path
    fail(f"Error: {data_directory} is no data directory of a server: there is no server/raft/log in it")


@click.command()
@click.argument("data_directory", type=click.Path(exists=True, file_okay=False))
@as_json
def inspect(data_directory: str, as_json: bool) -> None:
    """Show the log, snapshots, term and vote in DATA_DIRECTORY, and any damage.

    Changes nothing. Meant for a stopped server; of a running one it shows a moment. Exit code 1 if there is damage
    that keeps a server from starting.
    """
    examination = Examination(RealDisk(), _raft_directory(data_directory))
    found = examination.run()
    if as_json:
        print_json(examination.as_dict())
    else:
        _show(found)
    if found.damage:
        raise SystemExit(1)


def _show(found: Examined) -> None:
    click.echo(
        pairs(
            [
                ("Directory", found.directory),
                ("Cluster", found.cluster),
                ("Entries", f"{found.first_index} to {found.last_index} (term {found.last_term})"),
                ("Committed at least to", found.commit_hint),
                ("Configuration", f"of entry {found.configuration_index}"),
                ("Torn bytes", found.torn_bytes),
            ]
        )
    )
    click.echo("\nServers")
    rows: list[Any] = [(*one[:3], _role(one)) for one in found.configuration]
    click.echo(table(("ID", "Address", "Name", "Role"), rows))
    click.echo("\nLog")
    rows = [
        (s.file, s.first_index, s.last_index, f"{s.first_term}-{s.last_term}", f"{s.used}/{s.size}", s.state)
        for s in found.segments
    ]
    click.echo(table(("Segment", "First", "Last", "Terms", "Bytes", "State"), rows))
    click.echo("\nSnapshots")
    rows = [(s.file, s.index, s.term, s.size, s.configuration_index, s.state) for s in found.snapshots]
    click.echo(table(("Snapshot", "Index", "Term", "Bytes", "Configuration", "State"), rows))
    click.echo("\nTerm and vote")
    rows = [
        (name, one["term"], one["voted_for"] or "-") if one else (name, "damaged", "")
        for name, one in found.hard_state.items()
    ]
    click.echo(table(("Slot", "Term", "Vote"), rows))
    click.echo("\nDamage" if found.damage else "\nNo damage.")
    for text in found.damage:
        click.echo(f"* {text}")


@click.command()
@click.argument("data_directory", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--server", "survivors", multiple=True, help="ID=HOST:PORT of a survivor; repeat for all, on each of them."
)
@click.option("--term", type=int, help="Reset the Raft term to this number (on all servers) and change nothing else.")
@click.option("--yes", is_flag=True, help="Apply the change.")
@as_json
def recover(data_directory: str, survivors: tuple[str, ...], term: int | None, yes: bool, as_json: bool) -> None:
    """Recover from the loss of a majority: let the survivors go on without the lost servers.

    Run it on every survivor, all stopped, with the same servers. Without -yes it only shows what it would do. Without
    -server this server goes on alone.

    With -term the servers stay, and get another term: for terms that are used up, or that a server refuses as a jump.
    """
    if term is not None and survivors:
        fail("Error: give one of -server and -term; do one after the other")
    directory = _raft_directory(data_directory)
    root = directory.removesuffix("/server/raft")
    lock = DataDirectory(root)
    try:
        server_id = lock.open()
        first = stored_configuration(directory)
        if term is not None:
            _show_term(reset_term(RealDisk(), directory, term, first, dry_run=not yes), server_id, yes, as_json)
            return
        examined = Examination(RealDisk(), directory, first).run()
        servers = _chosen(survivors, server_id, examined.configuration)
        wanted = plan(RealDisk(), directory, servers, first)
        if as_json:
            print_json(_as_dict(wanted, server_id))
        else:
            _explain(wanted, server_id)
        if yes:
            _do(directory, servers, first)
            click.echo(f"Done: server {server_id} will start with the new configuration.")
        elif not as_json:
            click.echo("Nothing was changed. Keep a copy of the data directory, then run it again with -yes.")
    except (YurtError, OSError) as error:
        fail(f"Error: {error}")
    finally:
        lock.close()


def _show_term(reset: TermReset, server_id: str, done: bool, as_json: bool) -> None:
    found = reset.found
    if as_json:
        print_json(
            {
                "Server": server_id, "TermBefore": reset.before, "TermAfter": reset.term,
                "LastIndex": found.last_index, "LastTerm": found.last_term,
            }
        )  # fmt: skip
    elif not done:
        click.echo(
            f"Server {server_id}: term {reset.before} becomes {reset.term}, its vote is forgotten; log to entry "
            f"{found.last_index} of term {found.last_term}.\n"
            "* Stop ALL servers first, and run this on ALL of them with the same -term: greater than the last term of\n"
            "  each. That is checked on each for its own log; if one refuses, take a greater -term on all.\n"
            "* Start none before all are done. A server that is left out must be emptied before it comes back."
        )
    if done:
        click.echo(f"Done: server {server_id} will start in term {reset.term}.", err=as_json)
    elif not as_json:
        click.echo("Nothing was changed. Run it again with -yes.")


def _chosen(survivors: tuple[str, ...], server_id: str, known: Servers) -> Servers:
    names = {one[0]: one[2] for one in known}
    addresses = {one[0]: one[1] for one in known}
    given = survivors or (server_id,)
    servers: Servers = []
    for one in given:
        identity, _, address = one.partition("=")
        servers.append([identity, address or addresses.get(identity, ""), names.get(identity, identity)])
    check_servers(servers)
    return sorted(servers)


def _as_dict(wanted: Plan, server_id: str) -> dict[str, Any]:
    return {
        "Server": server_id,
        "Before": wanted.found.configuration,
        "After": wanted.servers,
        "Committed": wanted.commit,
        "LastIndex": wanted.found.last_index,
        "LastTerm": wanted.found.last_term,
        "EntriesLeftToCommit": len(wanted.tail),
        "ConfigurationChangesDropped": wanted.changes_dropped,
    }


def _explain(wanted: Plan, server_id: str) -> None:
    found = wanted.found
    kept = {one[0] for one in wanted.servers}
    click.echo(f"Server {server_id}: log to entry {found.last_index} of term {found.last_term}.\n")
    for title, servers in (("Before", found.configuration), ("After", wanted.servers)):
        rows = [(*one[:3], _role(one), _remark(one[0], server_id, kept)) for one in servers]
        click.echo(table((f"{title}: ID", "Address", "Name", "Role", ""), rows) + "\n")
    click.echo(
        f"* Entries up to {wanted.commit} are known to be committed: a snapshot with these servers.\n"
        f"* {len(wanted.tail)} entries after it stay in the log. They will be committed if the survivor that leads\n"
        "  has them, also those that nobody was told of. Of them "
        f"{wanted.changes_dropped} change the configuration: these do nothing any more.\n"
        f"* The term becomes {wanted.term + 1}. What was acknowledged and reached none of the survivors is lost.\n"
        "* The lost servers must never come back with their files: empty them, and let them join anew."
    )
    if server_id not in kept:
        click.echo("* This server is NOT in the new configuration.")
    if sum(len(one) == 3 for one in wanted.servers) > 1:
        place = f"({found.last_term}, {found.last_index})"
        click.echo(f"* Compare the other survivors' last term and entry with {place}: start the greatest first.")


def _role(server: list[str]) -> str:
    return "learner" if len(server) > 3 else "voter"


def _remark(server: str, own: str, kept: set[str]) -> str:
    if server not in kept:
        return "lost"
    return "this server" if server == own else ""


def _do(directory: str, servers: Servers, first: Servers | None) -> None:
    """Through the same file that a start would find, so that an interruption is made good by either."""
    listed = [{"id": one[0], "address": one[1], "non_voter": False} for one in servers]
    disk = RealDisk()
    for name, data in ((NOTE, NOTE_TEXT.encode()), (PEERS, orjson.dumps(listed))):
        file = disk.create(f"{directory}/{name}.new")
        file.write(0, data)
        file.sync()
        file.close()
        disk.rename(f"{directory}/{name}.new", f"{directory}/{name}")
    disk.sync_directory(directory)
    recover_if_asked(disk, directory, first or [])
