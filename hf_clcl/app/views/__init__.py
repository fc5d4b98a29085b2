"""HTML views of the app: pure functions of runs, comparisons and changes."""
