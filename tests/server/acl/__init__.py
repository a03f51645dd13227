"""Tests of access control at the server."""
