"""People: users, sessions, API tokens."""
