"""From what laboratories and competitions publish to one checked Parquet file."""
