"""Tests of the application: protocol, limits, bodies, answers."""
