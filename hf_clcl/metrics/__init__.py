"""Pure metrics: the accuracy matrix, ranks, scenarios."""
