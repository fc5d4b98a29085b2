"""The tabs of the page: their components, and the endpoints behind them."""
