"""Tests of the structured diff."""
