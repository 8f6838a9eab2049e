"""What we talk about: errors, units, the domain and the wire messages. No I/O, no solver, no framework."""
