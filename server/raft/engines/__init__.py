"""Engines of other libraries behind `server.raft.consensus`, each with its own library and nothing of the others."""
