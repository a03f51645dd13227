"""Tests of the table of routes, and of the way of a request."""
