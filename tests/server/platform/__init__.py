"""Tests of the platform of a server."""
