"""Sources of versions (spec job-model §6.3)."""

from __future__ import annotations

from yurt.fsm.store.schema import JOB_SUBMISSIONS
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.job import Job, JobSubmission

SUBMISSIONS_KEPT = 6


def store_submission(
    txn: Transaction, job: Job, given: JobSubmission | None, payload_version: int, stored: Job | None
) -> None:
    """Keep the source of a new version: the given one, else that of the version the payload was read from.

    An existing version's source is never replaced. The 6 with the highest JobModifyIndex are kept.
    """
    key = (job.namespace, job.id)
    if txn.get(JOB_SUBMISSIONS, (*key, job.version)) is not None:
        return
    submission = given
    if submission is None and stored is not None and payload_version <= stored.version:
        submission = txn.get(JOB_SUBMISSIONS, (*key, payload_version))
    if submission is None:
        return
    txn.put(
        JOB_SUBMISSIONS,
        replace(
            submission,
            namespace=job.namespace,
            job_id=job.id,
            version=job.version,
            job_modify_index=txn.index,
        ),
    )
    kept = txn.find(JOB_SUBMISSIONS, "job", key)
    for spare in sorted(kept, key=lambda one: -one.job_modify_index)[SUBMISSIONS_KEPT:]:
        txn.delete(JOB_SUBMISSIONS, (*key, spare.version))
