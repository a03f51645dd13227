"""Access control: what rules mean, and what a set of them allows."""
