"""Tests of the newest events."""
