"""Tests of what peers send to the server."""
