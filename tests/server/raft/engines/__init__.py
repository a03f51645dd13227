"""Tests of engines on libraries."""
