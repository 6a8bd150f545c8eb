"""Search for good settings: Optuna proposes them, each trial is one run per seed, and poor trials are pruned."""
