"""The table of routes, and the way of a request to its handler or to another agent."""
