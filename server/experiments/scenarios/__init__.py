"""Scenarios, one a file: what is done to a cluster, and under which workload."""
