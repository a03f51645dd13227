"""The pure state machine: records, commands, apply handlers and the state store (no clock, chance or I/O)."""
