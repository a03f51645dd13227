"""How distributions are built."""
