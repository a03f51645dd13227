"""Real servers as real processes on loopback."""
