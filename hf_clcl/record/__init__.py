"""`results.json`: the record of a run, without torch."""
