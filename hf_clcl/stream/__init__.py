"""One run from the first task to the last: train, save, evaluate, record, resume."""
