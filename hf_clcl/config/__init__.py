"""Read and check recipes, training values and values of the command line."""
