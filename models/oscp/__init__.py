"""Messages of the Open Smart Charging Protocol, one package for each version of it."""
