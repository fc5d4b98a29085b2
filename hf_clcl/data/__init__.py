"""From datasets to tasks and training batches."""
