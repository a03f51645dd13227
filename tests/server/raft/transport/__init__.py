"""Tests of connections between servers."""
