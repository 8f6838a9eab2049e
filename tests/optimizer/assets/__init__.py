"""Tests of what hangs on a site beside plain charging."""
