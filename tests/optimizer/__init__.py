"""Tests of the optimizer package."""
