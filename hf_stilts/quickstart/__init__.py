"""The three phases on a small made-up corpus, offline."""
