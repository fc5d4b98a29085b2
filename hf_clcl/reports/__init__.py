"""Reports from records, without torch: terminal tables, plots, model cards, comparisons."""
