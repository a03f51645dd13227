"""The newest events: on the own disk, and taken back from other servers."""
