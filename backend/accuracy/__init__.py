"""How often a judge prefers what people preferred: accuracy on labelled pairs."""
