"""The REST API: sites, sessions, prices, plans, peers, health."""
