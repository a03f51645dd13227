"""Properties that hold for everything random input can reach."""
