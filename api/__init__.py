"""How we are reached: the OSCP 2.0 endpoint, the REST API, and the planning that goes on behind them."""
