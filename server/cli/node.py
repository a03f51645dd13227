"""`yurt node`: the machines that run allocations."""

from __future__ import annotations

import time
from typing import Any

import click

from yurt.server.cli.client import Client
from yurt.server.cli.node_meta import meta
from yurt.server.cli.node_pool import pool
from yurt.server.cli.options import api, as_json, verbose
from yurt.server.cli.output import ago, fail, now_text, paint, pairs, print_json, short, table
from yurt.server.cli.resolve import only_match

POLL_SECONDS = 0.5


@click.group()
def node() -> None:
    """Inspect nodes, drain them and set their eligibility."""


def resolve(client: Client, given: str, *, own: bool = False) -> str:
    """The ID of the one node that a prefix names; with `own` that of the asked agent."""
    if own:
        told = client.get("/v1/agent/self")["stats"].get("client", {}).get("node_id")
        if told:
            return str(told)
        fail("Error: the asked agent is no node; give a node's ID")
    if not given:
        fail("Error: give the ID of a node")
    return only_match(client, "/v1/nodes", given, "node", _listing)


def _listing(nodes: list[dict[str, Any]], verbose: bool = False) -> str:
    rows = [
        (
            short(one["ID"], verbose), one["NodePool"], one["Datacenter"], one["Name"], one["NodeClass"] or "<none>",
            str(one["Drain"]).lower(), one["SchedulingEligibility"], one["Status"],
        )
        for one in nodes
    ]  # fmt: skip
    return table(("ID", "Node Pool", "DC", "Name", "Class", "Drain", "Eligibility", "Status"), rows)


node.add_command(meta)


@node.command()
@click.argument("node_id", required=False, default="")
@click.option("--self", "own", is_flag=True, help="Use the node of the agent that is asked.")
@click.option("--filter", "expression", default="", help="Show only the nodes that match this expression.")
@click.option("--stats", "with_stats", is_flag=True, help="Also show the machine's present usage.")
@as_json
@verbose
@api
def status(
    client: Client, node_id: str, own: bool, expression: str, with_stats: bool, as_json: bool, verbose: bool
) -> None:
    """Show all nodes, or one of them with its resources, events and allocations."""
    if not node_id and not own:
        nodes = client.get("/v1/nodes", filter=expression)
        if as_json:
            print_json(nodes)
        else:
            click.echo(_listing(nodes, verbose) if nodes else "No nodes registered")
        return
    found = resolve(client, node_id, own=own)
    one = client.get(f"/v1/node/{found}")
    if as_json:
        print_json(one)
        return
    allocations = client.get(f"/v1/node/{found}/allocations")
    click.echo(_overview(one, verbose))
    click.echo("\n" + paint("Allocated Resources", "white", bold=True) + "\n" + _resources(one, allocations))
    if with_stats:
        click.echo("\n" + paint("Host Resource Utilization", "white", bold=True) + "\n" + _usage(client, found))
    click.echo("\n" + paint("Node Events", "white", bold=True) + "\n" + _events(one))
    click.echo("\n" + paint("Allocations", "white", bold=True) + "\n" + _allocations(allocations, verbose))
    if verbose:
        click.echo("\n" + paint("Attributes", "white", bold=True) + "\n" + pairs(sorted(one["Attributes"].items())))


def _overview(one: dict[str, Any], verbose: bool) -> str:
    drivers = ",".join(name for name, info in sorted((one["Drivers"] or {}).items()) if info["Healthy"])
    return pairs(
        [
            ("ID", short(one["ID"], verbose)),
            ("Name", one["Name"]),
            ("Node Pool", one["NodePool"]),
            ("Class", one["NodeClass"] or "<none>"),
            ("DC", one["Datacenter"]),
            ("Drain", str(one["Drain"]).lower()),
            ("Eligibility", one["SchedulingEligibility"]),
            ("Status", one["Status"]),
            ("Drivers", drivers),
        ]
    )


def _resources(one: dict[str, Any], allocations: list[dict[str, Any]]) -> str:
    has, kept = one["NodeResources"], one["ReservedResources"]
    live = [alloc for alloc in allocations if alloc["ClientStatus"] in ("pending", "running")]
    tasks = [task for alloc in live for task in alloc["AllocatedResources"]["Tasks"].values()]
    used = (
        sum(task["Cpu"]["CpuShares"] for task in tasks),
        sum(task["Memory"]["MemoryMB"] for task in tasks),
        sum(alloc["AllocatedResources"]["Shared"]["DiskMB"] for alloc in live),
    )
    whole = (
        has["Cpu"]["CpuShares"] - kept["Cpu"]["CpuShares"],
        has["Memory"]["MemoryMB"] - kept["Memory"]["MemoryMB"],
        has["Disk"]["DiskMB"] - kept["Disk"]["DiskMB"],
    )
    units = ("MHz", "MiB", "MiB")
    row = [f"{a}/{b} {unit}" for a, b, unit in zip(used, whole, units, strict=True)]
    return table(("CPU", "Memory", "Disk"), [row])


def _usage(client: Client, node_id: str) -> str:
    """Return the machine's present usage, from a second sample: the first one covers the time since boot."""
    client.get("/v1/client/stats", node_id=node_id)
    time.sleep(POLL_SECONDS)  # shares are of the time between two looks
    found = client.get("/v1/client/stats", node_id=node_id)
    cores, memory, disk = found["CPU"], found["Memory"], found["AllocDirStats"]
    share = sum(core["TotalPercent"] for core in cores) / len(cores) if cores else 0.0
    row = (
        f"{share:.1f} % of {len(cores)} cores",
        f"{memory['Used'] >> 20}/{memory['Total'] >> 20} MiB",
        f"{disk['Used'] >> 20}/{disk['Size'] >> 20} MiB",
        f"{found['Uptime']} s",
    )
    return table(("CPU", "Memory", "Disk of the allocations", "Uptime"), [row])


def _events(one: dict[str, Any]) -> str:
    rows = [(event["Timestamp"], event["Subsystem"], event["Message"]) for event in reversed(one["Events"] or ())]
    return table(("Time", "Subsystem", "Message"), rows)


def _allocations(allocations: list[dict[str, Any]], verbose: bool) -> str:
    if not allocations:
        return "No allocations placed"
    rows = [
        (
            short(one["ID"], verbose), one["JobID"], one["TaskGroup"], one["Job"]["Version"], one["DesiredStatus"],
            one["ClientStatus"], ago(one["CreateTime"]), ago(one["ModifyTime"]),
        )
        for one in sorted(allocations, key=lambda one: -one["CreateIndex"])
    ]  # fmt: skip
    return table(("ID", "Job ID", "Task Group", "Version", "Desired", "Status", "Created", "Modified"), rows)


@node.command()
@click.argument("node_id", required=False, default="")
@click.option("--self", "own", is_flag=True, help="Use the node of the agent that is asked.")
@click.option("--enable", is_flag=True, help="Make the node eligible.")
@click.option("--disable", is_flag=True, help="Make the node ineligible.")
@api
def eligibility(client: Client, node_id: str, own: bool, enable: bool, disable: bool) -> None:
    """Make a node eligible for new allocations, or ineligible."""
    if enable == disable:
        fail("Error: give either -enable or -disable")
    found = resolve(client, node_id, own=own)
    wanted = "eligible" if enable else "ineligible"
    client.put(f"/v1/node/{found}/eligibility", {"NodeID": found, "Eligibility": wanted})
    click.echo(f'Node "{found}" scheduling eligibility set: {wanted} for scheduling')


@node.command()
@click.argument("node_id", required=False, default="")
@click.option("--self", "own", is_flag=True, help="Use the node of the agent that is asked.")
@click.option("--enable", is_flag=True, help="Start draining the node.")
@click.option("--disable", is_flag=True, help="Stop draining the node.")
@click.option("--deadline", default="1h", help="Time after which remaining allocations are stopped (1h).")
@click.option("--force", is_flag=True, help="Stop all allocations at once.")
@click.option("--no-deadline", is_flag=True, help="Drain without a deadline.")
@click.option("--ignore-system", is_flag=True, help="Leave allocations of system jobs on the node.")
@click.option("--keep-ineligible", is_flag=True, help="With -disable: keep the node ineligible.")
@click.option("--message", default="", help="Message to keep with the drain.")
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="Metadata to keep with the drain; repeatable.")
@click.option("--detach", is_flag=True, help="Do not wait for the drain to end.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@api
def drain(client: Client, node_id: str, own: bool, enable: bool, disable: bool, **flags: Any) -> None:
    """Drain a node of its allocations, or end its drain."""
    if enable == disable:
        fail("Error: give either -enable or -disable")
    found = resolve(client, node_id, own=own)
    meta = dict(one.partition("=")[::2] for one in flags["meta"])
    if flags["message"]:
        meta["message"] = flags["message"]
    body: dict[str, Any] = {"NodeID": found, "Meta": meta or None}
    if enable:
        body["DrainSpec"] = {"Deadline": _deadline(flags), "IgnoreSystemJobs": flags["ignore_system"]}
        body["MarkEligible"] = False
    else:
        body |= {"DrainSpec": None, "MarkEligible": not flags["keep_ineligible"]}
    client.put(f"/v1/node/{found}/drain", body)
    click.echo(f'{now_text()}: Node "{found}" drain strategy {"set" if enable else "unset"}')
    if enable and not flags["detach"]:
        _follow(client, found)


def _deadline(flags: dict[str, Any]) -> int:
    from yurt.fsm.lang.duration import parse_duration

    if flags["force"]:
        return -1
    if flags["no_deadline"]:
        return 0
    try:
        return parse_duration(flags["deadline"])
    except ValueError as error:
        fail(f"Error: {error}")


def _follow(client: Client, node_id: str) -> None:
    """Tell of each allocation that leaves, until the drain has ended."""
    told: dict[str, str] = {}
    while True:
        for one in client.get(f"/v1/node/{node_id}/allocations"):
            state = f"{one['DesiredStatus']} / {one['ClientStatus']}"
            if one["ID"] in told and told[one["ID"]] != state:
                click.echo(f'{now_text()}: Alloc "{one["ID"]}" status {state}')
            told[one["ID"]] = state
        if client.get(f"/v1/node/{node_id}")["DrainStrategy"] is None:
            click.echo(f"{now_text()}: Drain complete for node {node_id}")
            return
        time.sleep(POLL_SECONDS)  # a node and its allocations are followed together


node.add_command(pool)
