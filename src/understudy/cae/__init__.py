"""1D simulations and test benches: a folder of CSV files, one file a case, becomes a case table."""
