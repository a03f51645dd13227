"""Access control at the server: reading policies, knowing who asks."""
