"""Labels: what people, judges, votes and imports say about an item; leases that hand items out once."""
