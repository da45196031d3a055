"""What is on the Hub and how it is described: names, the record `stilts.json`, cards, finding checkpoints."""
