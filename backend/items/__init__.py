"""Items one by one: what was said of one, what happened to it, and taking it out of the labelling and back in."""
