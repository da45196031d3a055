"""Training: phases as Trainers, recipes, the hand-over of an encoder, and publishing while it trains."""
