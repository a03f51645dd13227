"""The leader's duties."""
