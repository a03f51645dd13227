"""Tests of the job language."""
