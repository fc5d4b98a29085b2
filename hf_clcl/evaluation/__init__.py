"""Evaluation: zero-shot classification, image-text retrieval, video retrieval."""
