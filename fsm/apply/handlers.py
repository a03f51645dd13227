"""Which handler applies which command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yurt.fsm import commands
from yurt.fsm.apply import children, cluster, evaluations, jobs, plans, scaling, versions
from yurt.fsm.store.transaction import Transaction

Handler = Callable[[Transaction, Any], Any]

HANDLERS: dict[type[commands.Command], Handler] = {
    commands.RegisterJob: jobs.register,
    commands.DeregisterJob: jobs.deregister,
    commands.RevertJob: jobs.revert,
    commands.SetJobStability: versions.set_stability,
    commands.TagJobVersion: versions.tag,
    commands.UntagJobVersion: versions.untag,
    commands.ScaleJob: scaling.scale,
    commands.DispatchJob: children.dispatch,
    commands.LaunchPeriodicJob: children.launch,
    commands.EvaluateJob: evaluations.evaluate,
    commands.UpdateEvaluations: evaluations.update,
    commands.ApplyPlan: plans.apply_plan,
    commands.CollectGarbage: evaluations.collect,
    commands.UpsertNamespace: cluster.upsert_namespace,
    commands.DeleteNamespace: cluster.delete_namespace,
    commands.UpsertNodePool: cluster.upsert_node_pool,
    commands.DeleteNodePool: cluster.delete_node_pool,
    commands.SetSchedulerConfiguration: cluster.set_scheduler_configuration,
    commands.SetAutopilotConfiguration: cluster.set_autopilot_configuration,
    commands.ReconcileSummaries: cluster.reconcile_summaries,
}
assert set(HANDLERS) == set(commands.COMMANDS), "every command has one handler"
