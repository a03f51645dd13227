"""The operators' settings for the whole cluster (spec cluster §11)."""

from __future__ import annotations

from yurt.fsm.structs.base import Record


class PreemptionConfig(Record, frozen=True):
    """Which schedulers may evict allocations of lower priority."""

    batch_scheduler_enabled: bool = False
    service_scheduler_enabled: bool = False
    sys_batch_scheduler_enabled: bool = False
    system_scheduler_enabled: bool = False


class SchedulerConfiguration(Record, frozen=True):
    """How the schedulers work."""

    scheduler_algorithm: str = "binpack"
    preemption_config: PreemptionConfig = PreemptionConfig()
    memory_oversubscription_enabled: bool = False
    reject_job_registration: bool = False
    pause_eval_broker: bool = False
    node_limit_for_feasibility_checks: int = 0
    create_index: int = 0
    modify_index: int = 0


DEFAULT_SCHEDULER_CONFIGURATION = SchedulerConfiguration(
    preemption_config=PreemptionConfig(system_scheduler_enabled=True)
)
SECOND = 1_000_000_000


class AutopilotConfiguration(Record, frozen=True):
    """How the leader looks after the servers; durations in nanoseconds.

    `min_quorum` 0: as many voters as the cluster was begun with.
    """

    last_contact_threshold: int = SECOND // 5
    server_stabilization_time: int = 10 * SECOND
    cleanup_dead_servers: bool = True
    max_trailing_logs: int = 250
    min_quorum: int = 0
    enable_redundancy_zones: bool = False
    disable_upgrade_migration: bool = False
    enable_custom_upgrades: bool = False
    create_index: int = 0
    modify_index: int = 0
