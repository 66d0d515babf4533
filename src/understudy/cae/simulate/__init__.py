"""Physical simulators that make cases to learn from."""
