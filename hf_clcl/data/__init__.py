"""Datasets, tasks, images, videos, texts and batches."""
