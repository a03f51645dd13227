"""Task drivers: what starts, watches and ends a task."""
