"""Usage: how long runs kept devices busy, by project, person and objective."""
