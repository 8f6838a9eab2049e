"""How good and how fast plans are: real data, known optima, measurements."""
