"""Measurements of the whole program: each file with a `measure() -> list[Figure]` is one, `make bench` runs all."""
