"""Small languages without I/O."""
