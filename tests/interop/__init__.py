"""Live and recorded counterparties."""
