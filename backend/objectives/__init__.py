"""Objectives as the API shows them; what they compute lives in `alignment.objectives`."""
