"""Use cases behind the routes; no web framework."""
