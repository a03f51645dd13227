"""The log, the term and vote, snapshots: on disk, inspected, recovered."""
