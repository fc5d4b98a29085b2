"""Showing a record: tables, figures, cards, comparisons; without torch."""
