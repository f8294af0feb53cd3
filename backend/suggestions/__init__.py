"""Suggestions: what a checkpoint, a reward model or a judge would say of a task's items, sent by programs."""
