"""Reads: parameters, pages, passes over a view, waiting."""
