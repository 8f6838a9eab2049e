"""How long plans take on this machine: synthetic days of any size, the phases of a plan, and how they grow."""
