"""Tests of the documentation: what it shows can be run, and what it links to is there."""
