"""Tasks: questions about the items of a dataset, who answers them, how often and in which order."""
