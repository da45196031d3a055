"""Ranked retrieval with one right answer or several: mAP@k, MRR@k and recall; an `evaluate` module and its numpy."""
