"""Active learning: simulate, train, choose what to simulate next, and again."""
