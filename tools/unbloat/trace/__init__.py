"""What one run did, step by step: noted in the run's own process, read by whoever compares two runs."""
