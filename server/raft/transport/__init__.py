"""Connections between servers: who speaks, what they may ask, how a cluster forms."""
