"""Tests of the server around the application: settings, command lines, logs, loops."""
