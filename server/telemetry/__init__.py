"""The telemetry of a server: metrics, traces, logs, the audit log."""
