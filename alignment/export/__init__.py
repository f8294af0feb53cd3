"""Checkpoints for others: written whole or as an adapter, compared with what they were written from, with a card."""
