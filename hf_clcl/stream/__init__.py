"""Run a stream of tasks: train, save, evaluate, record and resume."""
