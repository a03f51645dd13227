"""The leader's duties as state machines with an injected clock."""
