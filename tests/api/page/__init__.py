"""The page: who may look, what is shown, and what would be if."""
