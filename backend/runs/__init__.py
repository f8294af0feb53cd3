"""Runs: a spec, a frozen snapshot and a starting checkpoint on their way to new checkpoints."""
