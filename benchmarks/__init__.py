"""Benchmarks against a plain implementation of the way the reference system works; see README.md."""
