"""The validation of artifacts (spec job-model §5.4)."""

from __future__ import annotations

from collections.abc import Iterator

from yurt.fsm.job.validate.paths import ESCAPES, escapes
from yurt.fsm.structs.task import Artifact

DIGEST_BYTES = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64}
_HEX = frozenset("0123456789abcdefABCDEF")


def artifact_errors(artifact: Artifact) -> Iterator[str]:
    """Yield the errors of one artifact, in order."""
    if not artifact.getter_source:
        yield "source must be specified"
    if artifact.getter_mode not in ("any", "file", "dir"):
        yield f'invalid artifact mode "{artifact.getter_mode}"; must be one of: any, file, dir'
    if escapes(artifact.relative_dest):
        yield ESCAPES
    checksum = (artifact.getter_options or {}).get("checksum")
    if checksum is not None and (error := _checksum_error(checksum)):
        yield error


def _checksum_error(checksum: str) -> str:
    """The first thing wrong with `type:value`; a value that is known only on the node is not looked at."""
    checksum = checksum.strip()
    if not checksum:
        return "checksum value cannot be empty"
    if "${" in checksum:
        return ""
    kind, colon, value = checksum.partition(":")
    if not colon or ":" in value:
        return f'checksum must be given as "type:value"; got "{checksum}"'
    if reason := _hex_error(value):
        return f"invalid checksum: encoding/hex: {reason}"
    if kind not in DIGEST_BYTES:
        return f"unsupported checksum type: {kind}"
    return "" if len(value) == 2 * DIGEST_BYTES[kind] else f"invalid {kind} checksum: {value}"


def _hex_error(text: str) -> str:
    for character in text:
        if character not in _HEX:
            return f"invalid byte: U+{ord(character):04X} {character!r}"
    return "odd length hex string" if len(text) % 2 else ""
