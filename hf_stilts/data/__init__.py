"""Rows of a task with canonical columns, from the Hub at a pinned revision or from a mirror of the same layout."""
