"""Tests of the domain and of the wire messages."""
