"""Tests of root keys."""
