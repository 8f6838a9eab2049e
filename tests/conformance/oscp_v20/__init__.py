"""The rules of OSCP 2.0."""
