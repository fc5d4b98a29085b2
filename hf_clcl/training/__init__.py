"""One task in a `transformers.Trainer`."""
