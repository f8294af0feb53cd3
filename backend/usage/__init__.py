"""Usage: how long runs kept devices busy, and what lies in the storage, by project."""
