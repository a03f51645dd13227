"""The recordings of the kit, run against a freshly started server."""
