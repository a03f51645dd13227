"""Tests of HCL."""
