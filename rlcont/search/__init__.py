"""Searching for good settings: Optuna proposes them, trials are runs, and the bad ones are cut short."""
