"""Which rule file, and which values in it, do best on the data at hand: trials on Optuna, and what they show."""
