"""The node agent: it offers a machine to the servers and runs the allocations that they place on it."""
