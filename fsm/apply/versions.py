"""Versions: which are kept, which is stable, what they are called (spec job-model §6.1, jobs-api §3.12, §3.20)."""

from __future__ import annotations

from yurt.fsm.commands import Done, SetJobStability, TagJobVersion, UntagJobVersion, VersionTagged
from yurt.fsm.errors import Refusal
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import JOB_VERSIONS, JOBS
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.job import Job, VersionTag


def drop_old_version(txn: Transaction, namespace: str, job_id: str, kept: int) -> None:
    """Delete one untagged version if more than `kept` are there: the oldest, unless it is the newest stable one."""
    if txn.tally(JOB_VERSIONS, "job", (namespace, job_id)) <= kept:
        return
    untagged = [job for job in txn.find(JOB_VERSIONS, "job", (namespace, job_id)) if job.version_tag is None]
    if len(untagged) <= kept:
        return
    stable = [job for job in untagged if job.stable]
    spare = untagged[1] if stable and stable[-1] is untagged[0] and len(untagged) > 1 else untagged[0]
    txn.delete(JOB_VERSIONS, (namespace, job_id, spare.version))


def store_version(txn: Transaction, version: Job) -> None:
    """Store a changed version row; the current record follows if it is that version."""
    txn.put(JOB_VERSIONS, version)
    current = txn.get(JOBS, (version.namespace, version.id))
    if current is not None and current.version == version.version:
        txn.put(JOBS, version)


def mark_stable(txn: Transaction, version: Job, stable: bool) -> None:
    """Set a version's Stable; nothing is written if it is so already."""
    if version.stable != stable:
        store_version(txn, replace(version, stable=stable, modify_index=txn.index))


def set_stability(txn: Transaction, command: SetJobStability) -> Done:
    """Handle `SetJobStability`."""
    version = txn.get(JOB_VERSIONS, (command.namespace, command.job_id, command.version))
    if version is None:
        where = f'job "{command.job_id}" in namespace "{command.namespace}" at version {command.version}'
        raise Refusal(500, f"{where} not found")
    mark_stable(txn, version, command.stable)
    return Done(index=txn.index)


def tag(txn: Transaction, command: TagJobVersion) -> VersionTagged:
    """Handle `TagJobVersion`: a tag names one version of a job, a version has one tag."""
    number = command.version
    if number is None:
        current = txn.get(JOBS, (command.namespace, command.job_id))
        number = current.version if current is not None else 0
    version = txn.get(JOB_VERSIONS, (command.namespace, command.job_id, number))
    if version is None:
        raise Refusal(500, f'job "{command.job_id}" version {number} not found')
    for other in txn.find(JOB_VERSIONS, "job", (command.namespace, command.job_id)):
        if other.version_tag is not None and other.version_tag.name == command.tag and other.version != number:
            raise Refusal(500, f'tag "{command.tag}" already exists on a different version of job "{command.job_id}"')
    named = VersionTag(name=command.tag, description=command.description, tagged_time=command.now_ns)
    store_version(txn, replace(version, version_tag=named, modify_index=txn.index))
    return VersionTagged(name=command.tag, description=command.description, tagged_time=command.now_ns, index=txn.index)


def find_tagged(reader: Reader, namespace: str, job_id: str, name: str) -> Job:
    """The version with that tag."""
    for version in reader.find(JOB_VERSIONS, "job", (namespace, job_id)):
        if version.version_tag is not None and version.version_tag.name == name:
            return version
    raise Refusal(500, f'tag "{name}" not found on job "{job_id}"')


def has_tag(reader: Reader, namespace: str, job_id: str) -> bool:
    """Whether some version of a job has a name: such a job is never collected."""
    return any(version.version_tag for version in reader.find(JOB_VERSIONS, "job", (namespace, job_id)))


def untag(txn: Transaction, command: UntagJobVersion) -> Done:
    """Handle `UntagJobVersion`; the version may be dropped at once."""
    version = find_tagged(txn, command.namespace, command.job_id, command.tag)
    store_version(txn, replace(version, version_tag=None, modify_index=txn.index))
    drop_old_version(txn, command.namespace, command.job_id, command.versions_kept)
    return Done(index=txn.index)
