"""Sentence retrieval as in Tatoeba: accuracy of the nearest neighbour; an `evaluate` module and its numpy."""
