"""pysyncobj as it ships, behind the same seam as the core: a control for experiments, not for data that matters.

The library does everything by its public interface: election, replication, its journal and dump, connections on a port
of its own. It loses acknowledged writes (docs/raft.md), which is what it is here to show. A read is a replicated entry
that does nothing. The loop ticks it; a dump of the state is written within a tick, and stalls it.
"""
