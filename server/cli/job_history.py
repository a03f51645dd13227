"""`yurt job history`: the kept versions of a job and what changed between them."""

from __future__ import annotations

from typing import Any

import click

from yurt.server.cli.client import Client, job_path
from yurt.server.cli.diff_text import job_diff
from yurt.server.cli.job_read import resolve
from yurt.server.cli.options import api, as_json, no_color
from yurt.server.cli.output import date, fail, pairs, print_json


@click.command()
@click.argument("job_id", metavar="JOB")
@click.option("-p", "with_diffs", is_flag=True, help="Show the differences from the previous version.")
@click.option("--version", "version", type=int, help="Show this version only.")
@click.option("--diff-version", type=click.IntRange(min=0), help="Compare with this version instead (implies -p).")
@click.option("--diff-tag", default="", help="Compare with the version of this tag instead (implies -p).")
@no_color
@as_json
@api
def history(
    client: Client,
    job_id: str,
    with_diffs: bool,
    version: int | None,
    diff_version: int | None,
    diff_tag: str,
    as_json: bool,
) -> None:
    """Show the kept versions of a job, newest first."""
    if diff_version is not None and diff_tag:
        fail("Error: -diff-version and -diff-tag cannot be used together")
    query = {"diff_version": "" if diff_version is None else str(diff_version), "diff_tag": diff_tag}
    if with_diffs := with_diffs or any(query.values()):
        query["diffs"] = "true"
    answer = client.get(job_path(resolve(client, job_id), "versions"), **query)
    versions, diffs = answer["Versions"], answer["Diffs"] or []
    changes = [*diffs, *[None] * (len(versions) - len(diffs))]  # the oldest version has none
    shown = [one for one in zip(versions, changes, strict=True) if version is None or one[0]["Version"] == version]
    if not shown:
        fail(f"version {version} not found")
    if as_json:
        jobs = [job for job, _ in shown]
        print_json({"Versions": jobs, "Diffs": [diff for _, diff in shown if diff]} if with_diffs else jobs)
        return
    click.echo("\n\n".join(_version(job, diff) for job, diff in shown))


def _version(job: dict[str, Any], diff: dict[str, Any] | None) -> str:
    rows = [
        ("Version", job["Version"]),
        ("Stable", str(job["Stable"]).lower()),
        ("Submit Date", date(job["SubmitTime"])),
    ]
    if tag := job["VersionTag"]:
        rows += [("Tag Name", tag["Name"]), ("Tag Description", tag["Description"])]
    if diff is None:
        return pairs(rows)
    return f"{pairs([*rows, ('Diff', '')]).rstrip()}\n{job_diff(diff)}"
