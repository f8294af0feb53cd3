"""Retention: what a project keeps of its checkpoints, answers and exports, and what it lets go."""
