"""Metrics without torch: the accuracy matrix, retrieval ranks, scenarios."""
