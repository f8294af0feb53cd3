"""What people start with: small models with their settings, and preference data (models.toml)."""
