"""Tests of scenario folders that are refused."""
