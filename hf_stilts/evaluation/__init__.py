"""Zero-shot evaluation: one model, every language of a task, one tidy table."""
