"""Tests of the engine on pysyncobj."""
