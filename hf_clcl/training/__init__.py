"""Train one task with a `transformers.Trainer`."""
