"""Tests of planning online."""
