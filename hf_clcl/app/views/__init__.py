"""HTML of what the page shows: pure functions of runs, comparisons and changes."""
