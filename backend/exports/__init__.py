"""Exports: checkpoints as files for others, with a card; and their uploads to a hub."""
