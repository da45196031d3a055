"""Phases as Trainers: recipes, task data, mixtures, guards, micro-batches."""
