"""Tests of metrics, traces, logs and the audit log."""
