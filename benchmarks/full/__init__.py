"""The whole benchmark: how cost grows, solvers, peers, memory and start-up, in one run and one file."""
