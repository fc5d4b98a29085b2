"""Where datasets come from: the Hub, a folder, the rendered world."""
