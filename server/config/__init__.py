"""The agent's configuration: files, flags and defaults."""
