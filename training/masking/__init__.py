"""Which tokens a model does not get to see."""
