"""Everything that speaks to a Hub: names, publishing, cards, and a small Hub of our own for offline use."""
