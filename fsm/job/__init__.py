"""The processing of a submitted job before it becomes a command."""
