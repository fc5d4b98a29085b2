"""Loading, embedding, freezing and adapting dual encoders."""
