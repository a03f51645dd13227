"""Tests of the pure state machine."""
