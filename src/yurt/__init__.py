"""Yurt: a Raft-replicated job state store with an HTTP front end."""

__version__ = "0.1.0"
