"""Tests of access control's pure part."""
