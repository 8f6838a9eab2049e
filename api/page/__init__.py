"""What the browser gets: one page, its style, and modules that it loads as they are."""
