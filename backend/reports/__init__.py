"""Runs that a program elsewhere trains and reports over HTTPS."""
