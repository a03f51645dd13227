"""Tests of the log, the term and vote, and snapshots."""
