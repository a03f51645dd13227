"""Raft: the seam, the core with its storage and transport, and engines on libraries."""
