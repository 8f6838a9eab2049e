"""Other ways to plan the same, each in an environment of its own; they know NumPy and themselves, nothing of ours."""
