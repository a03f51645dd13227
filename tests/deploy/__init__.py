"""Tests of what deploys Yurt and experiments with it."""
