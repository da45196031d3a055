"""Exact match and F1 of answers in SQuAD's and MLQA's normalisation; an `evaluate` module and its functions."""
