"""Tests of currents of lines."""
