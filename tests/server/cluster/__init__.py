"""Tests of servers among each other: who joins, what they may ask, which engine replicates."""
