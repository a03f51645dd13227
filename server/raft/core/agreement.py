"""Agreement of states: the leader puts digests of its state into the log, and whoever differs stops (design: fsm).

An entry asks every server for the digest of a slice as of that entry, and tells the leader's answer to the question
before it. A server without an answer (it started or installed a snapshot in between) compares nothing.
"""

from __future__ import annotations

import msgpack

from yurt.fsm.errors import YurtError
from yurt.server.raft.core.applying import DIGEST
from yurt.server.raft.core.transfer import Transfer


class Diverged(YurtError):
    """This server's state is another than the leader's after the same commands: it must not answer any more."""

    def __init__(self, index: int) -> None:
        super().__init__(
            f"the state of this server at log entry {index} is not the leader's. Nothing was lost: the log and the "
            "other servers have it. Keep a copy of this server's data directory for a report, then empty it: the "
            "server joins anew and gets the state from the others"
        )


class Agreement(Transfer):
    """Compares what servers made of the log."""

    _digest: tuple[int, bytes] = (0, b"")  # of the newest question: its entry, the answer here
    _digest_place = b""
    _commands_since = 0

    def count_commands(self, count: int) -> None:
        """So many commands were applied since."""
        self._commands_since += count

    def ask_for_digest(self) -> None:
        """The leader asks once in a while."""
        if self.is_ready and self._commands_since >= self.config.digest_commands and not self.is_handing_over:
            self._commands_since = 0
            entry = DIGEST + msgpack.packb([*self._digest, self._digest_place])
            self.append_entries([(entry, self.log.last_index + 1, self.term)])
            self.replicate()

    def apply_digest(self, index: int, entry: bytes) -> None:
        """Compare the answer to the question before, answer this one; raises `Diverged`."""
        asked, expected, place = msgpack.unpackb(entry[1:])
        if asked and asked == self._digest[0] and expected != self._digest[1]:
            raise Diverged(asked)
        answer, self._digest_place = self.machine.digest(place)
        self._digest = (index, answer)
        self._commands_since = 0

    def forget_digest(self) -> None:
        """The state came from elsewhere."""
        self._digest, self._digest_place = (0, b""), b""
