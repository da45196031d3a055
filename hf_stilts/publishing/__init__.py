"""Checkpoints on their way to the Hub: saved into an outbox, sent by a process of its own, confirmed file by file."""
