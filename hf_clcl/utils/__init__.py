"""Errors, atomic files, names and versions: what every floor uses."""
