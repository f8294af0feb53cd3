"""A person's data: a copy of it for the person, and removing it on request."""
