"""What a submitted job goes through before it becomes a command."""
