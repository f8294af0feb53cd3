"""Modules that objectives train beside the model. They need torch, so an objective imports its own when it makes it."""
