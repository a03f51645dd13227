"""Workloads, one a file: what clients do meanwhile."""
