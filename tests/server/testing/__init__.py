"""Tests of the cluster inside a test."""
