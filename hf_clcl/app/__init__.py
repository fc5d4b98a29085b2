"""Gradio app for finished and running streams: predictions, accuracy matrix, forgotten images, search."""
