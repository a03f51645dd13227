"""Tests of the state as an archive."""
