"""The state as an archive: saved, and restored."""
