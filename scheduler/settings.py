"""The operators' scheduler settings, as one evaluation sees them (spec scheduling §14)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import NODE_POOLS, SCHEDULER_CONFIG
from yurt.fsm.structs.job import BATCH, SERVICE, SYSBATCH, SYSTEM, Job
from yurt.fsm.structs.operator import DEFAULT_SCHEDULER_CONFIGURATION, SchedulerConfiguration
from yurt.scheduler.rank.fit import BINPACK
from yurt.scheduler.rank.stack import Ranking


@dataclass(frozen=True, slots=True)
class Settings:
    """The scheduler configuration of a view, and its node pools' own."""

    reader: Reader
    configuration: SchedulerConfiguration

    @classmethod
    def of(cls, reader: Reader) -> Settings:
        """The settings of a view."""
        return cls(reader, reader.get(SCHEDULER_CONFIG, "") or DEFAULT_SCHEDULER_CONFIGURATION)

    def preempts(self, job_type: str) -> bool:
        """Whether jobs of a type may evict others."""
        config = self.configuration.preemption_config
        allowed = {
            SERVICE: config.service_scheduler_enabled,
            BATCH: config.batch_scheduler_enabled,
            SYSTEM: config.system_scheduler_enabled,
            SYSBATCH: config.sys_batch_scheduler_enabled,
        }
        return allowed.get(job_type, False)

    def ranking(self, eval_id: str, job: Job | None) -> Ranking:
        """How nodes are compared for a job; its pool may say otherwise than the cluster."""
        pool = self.reader.get(NODE_POOLS, job.node_pool) if job is not None else None
        own = (pool.scheduler_configuration or {}) if pool is not None else {}
        algorithm = own.get("SchedulerAlgorithm") or self.configuration.scheduler_algorithm or BINPACK
        oversubscription = own.get("MemoryOversubscriptionEnabled")
        if oversubscription is None:
            oversubscription = self.configuration.memory_oversubscription_enabled
        digest = hashlib.blake2b(f"{eval_id}/{self.reader.index}".encode(), digest_size=6).digest()
        return Ranking(
            algorithm=str(algorithm),
            fit_only=job is not None and job.type in (SYSTEM, SYSBATCH),
            oversubscription=bool(oversubscription),
            seed=int.from_bytes(digest, "big"),
        )
