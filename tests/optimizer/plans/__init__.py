"""Plans worked out by hand."""
