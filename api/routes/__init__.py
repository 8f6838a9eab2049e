"""The routes: they parse, call one use case, and map its errors."""
