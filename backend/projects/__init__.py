"""Projects: what every row belongs to."""
