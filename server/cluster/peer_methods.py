"""Every method that servers ask of each other, and the kinds of caller that may ask it.

The transport checks each request against this table before its handler sees it, and serves no method that is not in it.
A method's row stands here alone: whoever adds a method adds its row.
"""

from __future__ import annotations

from yurt.server.raft.transport.callers import RAFT, Caller, PeerMethods

_MEMBERS = frozenset({Caller.MEMBER})

PEER_METHODS: PeerMethods = {
    # A server that lags behind may not know yet that its leader is a member: the engine looks at terms and votes.
    RAFT: frozenset({Caller.MEMBER, Caller.JOINER, Caller.UNPROVED}),
    # A newcomer asks for itself; a member passes its question on to the leader.
    "join": frozenset({Caller.MEMBER, Caller.JOINER}),
    "http": _MEMBERS,  # a request that a client sent to another server
    "keyring.get": _MEMBERS,
    "keyring.put": _MEMBERS,
    "keyring.status": _MEMBERS,
    "keyring.kek.get": _MEMBERS,
    "keyring.kek.put": _MEMBERS,
    "restore": _MEMBERS,
    "events": _MEMBERS,
    # Where libraries of the other engine listen: a newcomer asks members, a leader asks the newcomer.
    "pysyncobj.members": frozenset({Caller.MEMBER, Caller.JOINER}),
}
