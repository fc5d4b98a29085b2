"""Dual encoders: loading, embeddings, freezing, LoRA adapters, sharding."""
