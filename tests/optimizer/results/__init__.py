"""Tests of result folders."""
