"""Helpers that every other package uses: errors, atomic files, names, versions."""
