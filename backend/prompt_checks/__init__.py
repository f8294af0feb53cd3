"""Prompt checks: prompts of a project with what a good answer to each must keep."""
