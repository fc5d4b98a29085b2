"""A page on finished and running streams: compare predictions, read the matrix, see what was forgotten."""
