"""Checks of admitted jobs, with the texts of the wire protocol."""
