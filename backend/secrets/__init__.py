"""Secrets of a project: tokens of hubs and keys of endpoints. They go in, are used, and never come out."""
