"""Fault experiments: `yurt experiment run leader-kill` (docs/experiments.md). One file a scenario, one a workload."""
