"""Handlers of the log's commands, by area."""
