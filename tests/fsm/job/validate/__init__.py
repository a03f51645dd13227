"""Tests of validation, a table a concern."""
