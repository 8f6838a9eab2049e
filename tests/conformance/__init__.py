"""One test for each rule of a standard; each states its rule."""
