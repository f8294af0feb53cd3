"""What whoever runs an instance asks it: whether it is well, and its numbers."""
