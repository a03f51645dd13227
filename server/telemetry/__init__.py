"""What a server tells of itself: metrics, traces, logs, the audit log."""
