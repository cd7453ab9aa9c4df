"""What layerlr knows by heart and without torch: the kinds of findings, the optimizers and their options."""
