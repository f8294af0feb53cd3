"""Checkpoints: weights one can generate from, and what is known of them without loading them."""
