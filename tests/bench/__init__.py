"""Benchmarks: modules that print tables, never timed tests."""
