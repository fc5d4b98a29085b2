"""Sources of datasets: the Hub, local folders, the rendered world."""
