"""The words of the policy language and what the shorthands among them stand for (spec acl §2)."""

from __future__ import annotations

from collections.abc import Iterable

DENY, READ, WRITE, SCALE, LIST = "deny", "read", "write", "scale", "list"

_READ = (
    "list-jobs", "parse-job", "read-job", "csi-list-volume", "csi-read-volume", "read-job-scaling",
    "list-scaling-policies", "read-scaling-policy", "host-volume-read",
)  # fmt: skip
_WRITE = (
    "scale-job", "submit-job", "dispatch-job", "read-logs", "read-fs", "alloc-exec", "alloc-lifecycle",
    "csi-mount-volume", "csi-write-volume", "submit-recommendation", "host-volume-create",
)  # fmt: skip
_SCALE = (
    "list-scaling-policies", "read-scaling-policy", "read-job-scaling", "scale-job", "read-job",
    "submit-recommendation",
)  # fmt: skip
NAMESPACE_SHORTHANDS = {READ: _READ, WRITE: (*_READ, *_WRITE), SCALE: _SCALE, DENY: (DENY,)}
_ONLY_LISTED = (
    "alloc-node-exec", "sentinel-override", "csi-register-plugin", "host-volume-register", "host-volume-write",
    "host-volume-delete", "register-job", "revert-job", "deregister-job", "purge-job", "evaluate-job", "plan-job",
    "tag-job-version", "stable-job", "fail-deployment", "pause-deployment", "promote-deployment",
    "unblock-deployment", "cancel-deployment", "set-alloc-health-deployment", "gc-allocation", "pause-allocation",
    "force-periodic-job", "delete-service-registration",
)  # fmt: skip
NAMESPACE_CAPABILITIES = frozenset((*_READ, *_WRITE, *_SCALE, *_ONLY_LISTED, DENY))
_IMPLIED = {
    "host-volume-write": ("host-volume-register", "host-volume-create", "host-volume-delete", "host-volume-read"),
    "host-volume-register": ("host-volume-create", "host-volume-read"),
    "host-volume-create": ("host-volume-read",),
}

POOL_CAPABILITIES = frozenset((READ, WRITE, "delete", DENY))
POOL_SHORTHANDS: dict[str, tuple[str, ...]] = {READ: (READ,), WRITE: ("delete", READ, WRITE), DENY: (DENY,), SCALE: ()}
MOUNT_READ, MOUNT_WRITE = "mount-readonly", "mount-readwrite"
VOLUME_CAPABILITIES = frozenset((MOUNT_READ, MOUNT_WRITE, DENY))
VOLUME_SHORTHANDS: dict[str, tuple[str, ...]] = {
    READ: (MOUNT_READ,), WRITE: (MOUNT_READ, MOUNT_WRITE), DENY: (DENY,), SCALE: (),
}  # fmt: skip
OPERATOR_CAPABILITIES = frozenset(
    ("snapshot-save", "license-read", "keyring-read", "keyring-rotate", "keyring-delete", DENY)
)
OPERATOR_SHORTHANDS: dict[str, tuple[str, ...]] = {
    READ: ("license-read", "keyring-read"),
    WRITE: ("snapshot-save", "license-read", "keyring-read", "keyring-rotate", "keyring-delete"),
    DENY: (DENY,),
}
VARIABLE_CAPABILITIES = frozenset((LIST, READ, WRITE, "destroy", DENY))


def expanded(
    given: Iterable[str], policy: str, shorthands: dict[str, tuple[str, ...]], implied: dict[str, tuple[str, ...]]
) -> tuple[str, ...] | None:
    """Return the listed capabilities, then the shorthand's, then those that they imply; None if there are none."""
    found = [*given, *shorthands.get(policy, ())]
    found += [more for one in found for more in implied.get(one, ())]
    return tuple(found) or None


def namespace_capabilities(given: Iterable[str], policy: str) -> tuple[str, ...] | None:
    """The capabilities of a namespace rule."""
    return expanded(given, policy, NAMESPACE_SHORTHANDS, _IMPLIED)


def variable_capabilities(given: tuple[str, ...]) -> tuple[str, ...] | None:
    """The capabilities of a path of variables; a `deny` among them leaves nothing else."""
    if DENY in given:
        return (DENY,)
    return (*given, *((LIST,) if READ in given and LIST not in given else ())) or None
