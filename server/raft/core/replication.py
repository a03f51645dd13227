"""Replication: what a follower accepts and what its answers prove (spec raft-engine §4)."""

from __future__ import annotations

from yurt.server.raft.core.election import Elections
from yurt.server.raft.core.messages import Append, AppendAnswer, BadMessage
from yurt.server.raft.core.state import Flight, Progress
from yurt.server.raft.peer import Peer


class Replication(Elections):
    """The log from leader to follower, and back what is durable."""

    # --- the follower

    def on_append(self, peer: Peer, message: Append) -> None:
        """Accept what matches; answer with what this message proved and the disk holds."""
        if message.term < self.term:
            self.send_message(peer, AppendAnswer(self.cluster, self.term, message.sequence, False, 0))
            return
        self.follow(peer, message.term)
        previous, previous_term, entries = message.previous_index, message.previous_term, message.entries
        base = self.log.first_index - 1
        if previous < base:  # what lies in the snapshot or before the log is committed: it matches
            entries = entries[base - previous :]
            previous, previous_term = base, int(self.log.term_at(base) or 0)
            if previous > message.previous_index + len(message.entries):
                self._answer_append(peer, message, message.previous_index + len(message.entries))
                return
        elif self.log.term_at(previous) != previous_term:
            self._refuse_append(peer, message)
            return
        matched = previous + len(entries)
        for position, entry in enumerate(entries):
            have = self.log.term_at(entry[1])
            if have is not None and have != entry[2]:
                if entry[1] <= self.commit_index and peer.id not in self.peers:
                    raise BadMessage("a stranger wants to change what is committed")
                self.cut_entries(entry[1])
                have = None
            if have is None:
                self.append_entries(entries[position:])
                break
        if message.commit_index > self.commit_index:
            self.commit_to(min(message.commit_index, matched))
        self._answer_append(peer, message, matched)

    def _refuse_append(self, peer: Peer, message: Append) -> None:
        """Say where the logs may meet: after the last entry, or at the first of the term that differs."""
        previous = message.previous_index
        if previous > self.log.last_index:
            hint = self.log.last_index + 1
        else:
            term, hint = self.log.term_at(previous), previous
            while hint > max(self.commit_index + 1, self.log.first_index) and self.log.term_at(hint - 1) == term:
                hint -= 1
        self.send_message(peer, AppendAnswer(self.cluster, self.term, message.sequence, False, hint))

    def _answer_append(self, peer: Peer, message: Append, matched: int) -> None:
        answer = AppendAnswer(self.cluster, self.term, message.sequence, True, matched)
        self.hold(self._issued_lsn, lambda: self.send_message(peer, answer))

    def commit_to(self, index: int) -> None:
        """The commit index moves up, never down, and never beyond the log."""
        assert index <= self.log.last_index, "only what is in the log is committed"
        if index > self.commit_index:
            self.commit_index = index
            self.schedule_apply()

    # --- the leader

    def replicate(self) -> None:
        """Send what is new to every follower that is keeping up."""
        for progress in list(self.progress.values()):
            self.send_entries(progress)

    def send_entries(self, progress: Progress) -> None:
        """Send one follower what comes next, within its window."""
        if progress.snapshot is not None or progress.peer.id not in self.linked:
            return
        while len(progress.inflight) < (1 if progress.probing else self.config.inflight_max):
            last = self.log.last_index
            if progress.next > last and not (progress.probing or progress.commit_sent < self.commit_index):
                return
            previous = progress.next - 1
            previous_term = self.log.term_at(previous)
            if previous_term is None:
                self.begin_snapshot(progress)
                return
            entries = self.log.entries(progress.next, self.config.message_bytes) if progress.next <= last else []
            sequence = self.next_sequence()
            now = self.runtime.now()
            told = min(self.commit_index, previous + len(entries))  # a follower commits what the message proves
            progress.inflight[sequence] = Flight(now, told)
            progress.heartbeats[sequence] = now
            progress.commit_sent = max(progress.commit_sent, told)
            self.send_message(
                progress.peer,
                Append(self.cluster, self.term, sequence, previous, previous_term, self.commit_index, entries),
            )
            if progress.probing:
                return
            progress.next += len(entries)

    def on_append_answer(self, peer: Peer, message: AppendAnswer) -> None:
        """Take a proof, or look further back.

        A proof holds for the term, also when the question was given up as lost: a slow disk answers late. A refusal
        says only where to look next, so only one of what is in flight counts.
        """
        progress = self.progress.get(peer.id)
        if not self.is_leader_role or message.term != self.term or progress is None:
            return
        if message.sequence < progress.first:
            return
        is_in_flight = progress.answered(message.sequence, message.index if message.matches else None)
        created = progress.heartbeats.pop(message.sequence, None)
        if created is not None:
            progress.heard(created)
        if message.matches:
            if message.index > self.log.last_index:
                raise BadMessage("a follower cannot match what was never sent")
            progress.match = max(progress.match, message.index)
            if progress.probing:
                progress.probing = False
                progress.next = progress.match + 1
                progress.forget_inflight()
            progress.next = max(progress.next, progress.match + 1)
            self.advance_commit()
            self.continue_transfer()
        elif is_in_flight:
            progress.next = min(max(message.index, progress.match + 1), self.log.last_index + 1)
            self._probe(progress)
        self.send_entries(progress)

    def _probe(self, progress: Progress) -> None:
        progress.probing = True
        progress.forget_inflight()

    def resend(self, progress: Progress) -> None:
        """Look again from what is proved if an answer is overdue; tell the commit index until it is answered."""
        now = self.runtime.now()
        if progress.snapshot is not None:
            self.resend_snapshot(progress)
            return
        overdue = self.config.heartbeat * (4 if progress.probing else 8)
        if progress.inflight and now - next(iter(progress.inflight.values())).at > overdue:
            if not progress.probing:
                progress.next = progress.match + 1
            self._probe(progress)
        self.send_entries(progress)

    def advance_commit(self) -> None:
        """Commit what a majority holds durably, if an entry of this term is among it."""
        if not self.is_leader_role:
            return
        matches = [one.match for server, one in self.progress.items() if server in self.voters]
        if self.is_voter:
            matches.append(self.own_match)
        matches.sort(reverse=True)
        index = matches[self.quorum() - 1]
        if index > self.commit_index and self.log.term_at(index) == self.term:
            self.commit_to(index)
            self.replicate()

    def continue_transfer(self) -> None:
        """A follower has moved on: perhaps it may take over now."""
        raise AssertionError("the transfer goes on")

    def begin_snapshot(self, progress: Progress) -> None:
        """The follower needs entries that are gone."""
        raise AssertionError("snapshots begin it")

    def resend_snapshot(self, progress: Progress) -> None:
        """A chunk's answer is overdue."""
        raise AssertionError("snapshots resend it")
