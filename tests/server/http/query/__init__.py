"""Tests of reads: parameters, pages, passes over a view, waiting."""
