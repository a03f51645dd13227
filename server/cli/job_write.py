"""`yurt job run|stop|revert|scale|dispatch|eval`: changing jobs."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from yurt.server.cli.client import Client, job_path
from yurt.server.cli.evaluation import monitor
from yurt.server.cli.job_read import resolve
from yurt.server.cli.jobfile import JobFile, job_file
from yurt.server.cli.options import GoFlags, api, detach, verbose
from yurt.server.cli.output import fail, paint, print_json, short


def follow(client: Client, answer: dict[str, Any], *, detach: bool, verbose: bool) -> None:
    """Wait for the evaluation that a write made, or print its ID; end with the monitor's exit code."""
    eval_id = answer.get("EvalID") or ""
    if not eval_id:
        click.echo("Done; a periodic or parameterized job is not evaluated itself")
        return
    if detach:
        click.echo(f"Evaluation ID: {eval_id}")
        return
    if code := monitor(client, eval_id, verbose=verbose):
        raise SystemExit(code)


@click.command(cls=GoFlags)
@job_file
@click.option("--check-index", type=int, help="Register only if the job has this JobModifyIndex (0: the job is new).")
@click.option("--eval-priority", type=int, help="Priority of the evaluation only.")
@click.option("--preserve-counts", is_flag=True, help="Keep the stored counts of existing groups.")
@click.option("--preserve-resources", is_flag=True, help="Keep the stored resources of existing tasks.")
@click.option("--output", is_flag=True, help="Print the request and send nothing.")
@detach
@verbose
@api
def run(
    client: Client, path: str, load: Callable[[], JobFile], check_index: int | None, output: bool, **flags: Any
) -> None:
    """Register the job in FILE (HCL or JSON, `-` for standard input) and wait for its evaluation."""
    file = load()
    request: dict[str, Any] = {"Job": file.job, "Submission": file.submission}
    if check_index is not None:
        request |= {"EnforceIndex": True, "JobModifyIndex": check_index}
    if flags["eval_priority"] is not None:
        request["EvalPriority"] = flags["eval_priority"]
    for flag, key in (("preserve_counts", "PreserveCounts"), ("preserve_resources", "PreserveResources")):
        if flags[flag]:
            request[key] = True
    if output:
        print_json(request)
        return
    answer = client.put("/v1/jobs", request)
    if answer["Warnings"]:
        click.echo(paint(f"Job Warnings:\n{answer['Warnings']}\n", "yellow"))
    if not answer["EvalID"]:
        click.echo("Job registration successful")
        return
    follow(client, answer, detach=flags["detach"], verbose=flags["verbose"])


@click.command()
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True)
@click.option("--purge", is_flag=True, help="Remove the job, its versions and its allocations from the state.")
@click.option("--global", "global_", is_flag=True, help="Stop the job in every region it runs in.")
@click.option("--children", is_flag=True, help="Also stop the job's dispatched and launched children.")
@click.option("--no-shutdown-delay", is_flag=True, help="Skip the shutdown delays.")
@click.option("--eval-priority", type=int, help="Priority of the evaluation only.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@detach
@verbose
@api
def stop(client: Client, job_ids: tuple[str, ...], yes: bool, detach: bool, verbose: bool, **flags: Any) -> None:
    """Stop jobs; they stay listed as dead until they are purged."""
    for given in job_ids:
        found = resolve(client, given)
        if found != given and not yes:
            click.confirm(f'Are you sure you want to stop job "{found}"?', abort=True)
        wanted = {
            "purge": "purge",
            "global": "global_",
            "no_shutdown_delay": "no_shutdown_delay",
            "children": "children",
        }
        query = {name: "true" for name, key in wanted.items() if flags[key]}
        if flags["eval_priority"] is not None:
            query["eval_priority"] = str(flags["eval_priority"])
        follow(client, client.delete(job_path(found), **query), detach=detach, verbose=verbose)


@click.command()
@click.argument("job_id", metavar="JOB")
@click.argument("version_or_tag", metavar="VERSION|TAG")
@detach
@verbose
@api
def revert(client: Client, job_id: str, version_or_tag: str, detach: bool, verbose: bool) -> None:
    """Revert a job to an older version, given by number or by tag; it becomes the newest one."""
    found = resolve(client, job_id)
    request: dict[str, Any] = {"JobID": found}
    if version_or_tag.isdigit():
        request["JobVersion"] = int(version_or_tag)
    else:
        request["TaggedVersion"] = version_or_tag
    follow(client, client.put(job_path(found, "revert"), request), detach=detach, verbose=verbose)


@click.command()
@click.argument("job_id", metavar="JOB")
@click.argument("words", metavar="[GROUP] COUNT", nargs=-1, required=True)
@click.option("--check-index", type=int, help="Scale only if the job has this JobModifyIndex.")
@detach
@verbose
@api
def scale(
    client: Client, job_id: str, words: tuple[str, ...], check_index: int | None, detach: bool, verbose: bool
) -> None:
    """Set the count of a group; the group may be left out if the job has only one."""
    found = resolve(client, job_id)
    if len(words) > 2 or not words[-1].isdigit():
        fail("Error: want JOB [GROUP] COUNT, with a count of 0 or more")
    group = words[0] if len(words) == 2 else _only_group(client, found)
    request: dict[str, Any] = {"Target": {"Group": group}, "Count": int(words[-1]), "Message": "submitted with yurt"}
    if check_index is not None:
        request["JobModifyIndex"] = check_index
    follow(client, client.put(job_path(found, "scale"), request), detach=detach, verbose=verbose)


def _only_group(client: Client, job_id: str) -> str:
    groups = [group["Name"] for group in client.get(job_path(job_id))["TaskGroups"]]
    if len(groups) != 1:
        fail(f"Group name required; the job has the groups {', '.join(groups)}")
    name: str = groups[0]
    return name


@click.command()
@click.argument("job_id", metavar="JOB")
@click.argument("payload", metavar="[FILE]", required=False)
@click.option("--payload", "payload_file", metavar="FILE", help="Payload file, the same as FILE after JOB.")
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="Metadata of the child; repeatable.")
@click.option("--idempotency-token", default="", help="Dispatch only once with this token.")
@click.option("--id-prefix-template", default="", help="Text to include in the child's ID.")
@click.option("--priority", type=int, help="Priority of the child.")
@detach
@verbose
@api
def dispatch(client: Client, job_id: str, payload: str | None, meta: tuple[str, ...], **flags: Any) -> None:
    """Dispatch a child of a parameterized job, with FILE (`-` for standard input) as its payload."""
    found = resolve(client, job_id)
    pairs = dict(_key_value(one) for one in meta)
    request: dict[str, Any] = {"JobID": found, "Meta": pairs, "IdPrefixTemplate": flags["id_prefix_template"]}
    if payload is not None and flags["payload_file"] is not None:
        fail("Error: the payload is given twice")
    payload = flags["payload_file"] if payload is None else payload
    if payload is not None:
        try:
            data = sys.stdin.buffer.read() if payload == "-" else Path(payload).read_bytes()
        except OSError as error:
            fail(f"Error reading payload: {error.strerror}: {payload}")
        request["Payload"] = base64.b64encode(data).decode()
    if flags["priority"] is not None:
        request["Priority"] = flags["priority"]
    answer = client.put(job_path(found, "dispatch"), request, idempotency_token=flags["idempotency_token"])
    click.echo(f"Dispatched Job ID = {answer['DispatchedJobID']}")
    if not answer["EvalID"]:
        return
    click.echo(f"Evaluation ID     = {short(answer['EvalID'], flags['verbose'])}")
    if not flags["detach"]:
        click.echo()
        follow(client, answer, detach=False, verbose=flags["verbose"])


def _key_value(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        fail(f'Error: -meta wants KEY=VALUE, got "{text}"')
    return key, value


@click.command(name="eval")
@click.argument("job_id", metavar="JOB")
@click.option("--force-reschedule", is_flag=True, help="Replace failed allocations now, regardless of their policy.")
@detach
@verbose
@api
def evaluate(client: Client, job_id: str, force_reschedule: bool, detach: bool, verbose: bool) -> None:
    """Evaluate a job again."""
    found = resolve(client, job_id)
    request = {"JobID": found, "EvalOptions": {"ForceReschedule": force_reschedule}}
    follow(client, client.put(job_path(found, "evaluate"), request), detach=detach, verbose=verbose)
