"""Plan, model and data to a trained model: what `layerlr train` does."""
