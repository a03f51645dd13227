"""Virtual time and machines: clusters inside one process, in which nothing waits and everything follows from a seed."""
