"""Tests of the replicated log and its storage."""
