"""Bitext mining as in BUCC 2018: margins, one-to-one matching, a threshold, F1; an `evaluate` module and its numpy."""
