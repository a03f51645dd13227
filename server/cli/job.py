"""`yurt job`: the verbs of jobs."""

from __future__ import annotations

import click

from yurt.server.cli import (
    alloc_exec,
    job_history,
    job_init,
    job_periodic,
    job_plan,
    job_read,
    job_restart,
    job_rollout,
    job_scaling,
    job_tag,
    job_validate,
    job_write,
)


@click.group()
def job() -> None:
    """Register, inspect and change jobs."""


for command in (
    job_init.init,
    job_read.status,
    job_read.inspect,
    job_history.history,
    job_plan.plan,
    job_validate.validate,
    job_write.run,
    job_write.stop,
    job_write.revert,
    job_write.scale,
    job_write.dispatch,
    job_write.evaluate,
    job_periodic.periodic,
    job_scaling.scaling_events,
    job_tag.tag,
    job_rollout.allocs,
    job_rollout.deployments,
    job_rollout.promote,
    alloc_exec.action,
    job_restart.restart,
):
    job.add_command(command)
