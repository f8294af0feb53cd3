"""Home: the loop's live numbers, read from every other noun."""
