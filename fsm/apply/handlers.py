"""Which handler applies which command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yurt.fsm import commands, commands_acl, commands_nodes, commands_services, commands_variables
from yurt.fsm.apply import (
    acl,
    allocations,
    children,
    cluster,
    deployments,
    drains,
    evaluations,
    jobs,
    nodes,
    plans,
    scaling,
    services,
    summaries,
    variables,
    versions,
)
from yurt.fsm.store.transaction import Transaction

Handler = Callable[[Transaction, Any], Any]

HANDLERS: dict[type[commands.Command], Handler] = {
    commands.RegisterJob: jobs.register,
    commands.DeregisterJob: jobs.deregister,
    commands.DeregisterFamily: jobs.deregister_family,
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
    commands.ReconcileSummaries: summaries.reconcile,
    commands_nodes.RegisterNode: nodes.register,
    commands_nodes.UpdateNodeStatuses: nodes.update_statuses,
    commands_nodes.SetNodeEligibility: nodes.set_eligibility,
    commands_nodes.DrainNode: drains.drain,
    commands_nodes.CompleteDrains: drains.complete,
    commands_nodes.EvaluateNode: nodes.evaluate_node,
    commands_nodes.PurgeNode: nodes.purge,
    commands_nodes.UpdateAllocations: allocations.update,
    commands_nodes.TransitionAllocations: allocations.transition,
    commands_nodes.PromoteDeployment: deployments.promote,
    commands_nodes.PauseDeployment: deployments.pause,
    commands_nodes.FailDeployment: deployments.fail,
    commands_nodes.SetAllocationHealth: deployments.set_health,
    commands_services.UpsertServices: services.upsert,
    commands_services.DeleteServices: services.delete,
    commands_acl.UpsertPolicies: acl.upsert_policies,
    commands_acl.DeletePolicies: acl.delete_policies,
    commands_acl.UpsertTokens: acl.upsert_tokens,
    commands_acl.DeleteTokens: acl.delete_tokens,
    commands_acl.BootstrapAcl: acl.bootstrap,
    commands_acl.UpsertRoles: acl.upsert_roles,
    commands_acl.DeleteRoles: acl.delete_roles,
    commands_acl.UpsertOneTimeToken: acl.upsert_one_time_token,
    commands_acl.DeleteOneTimeTokens: acl.delete_one_time_tokens,
    commands_variables.UpsertVariable: variables.upsert,
    commands_variables.DeleteVariable: variables.delete,
    commands_variables.LockVariable: variables.lock,
    commands_variables.UnlockVariable: variables.unlock,
    commands_variables.UpsertRootKey: variables.upsert_root_key,
    commands_variables.WrapRootKeys: variables.wrap_root_keys,
    commands_variables.DeleteRootKey: variables.delete_root_key,
}
assert set(HANDLERS) == set(commands.COMMANDS), "every command has one handler"
