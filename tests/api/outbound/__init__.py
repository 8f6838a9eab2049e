"""Tests of what goes out to peers."""
