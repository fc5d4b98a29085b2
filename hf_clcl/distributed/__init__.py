"""Launchers, processes and sharded tensors."""
