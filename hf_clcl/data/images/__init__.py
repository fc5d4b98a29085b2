"""Images as the model sees them."""
