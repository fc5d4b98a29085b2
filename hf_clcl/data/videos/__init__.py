"""Videos as frames: read clips, and make model inputs of them."""
