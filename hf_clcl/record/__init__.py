"""The record of a run (`results.json`), without torch."""
