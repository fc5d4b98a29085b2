"""Measuring a model: zero-shot classification, retrieval, videos."""
