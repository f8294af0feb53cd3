"""Signing in by way of an OpenID Connect provider: who people are there, and whose account that is here."""
