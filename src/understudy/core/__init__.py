"""The engine: torch, numpy and pyarrow only. It names no domain and knows no configuration."""
