"""A refrigerant circuit of an electric car, simulated: see docs/explanation/refrigerant.md for the model."""
