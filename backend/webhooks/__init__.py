"""Webhooks: what happens in a project is told to addresses that its owners name, signed, and sent until it arrives."""
