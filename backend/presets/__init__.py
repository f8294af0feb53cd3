"""What people can start with here: small models and preference data, and which of them this machine can train."""
