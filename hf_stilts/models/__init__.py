"""Weights in, model out: bodies, heads, adapters, and the transfer of a body from one phase to the next."""
