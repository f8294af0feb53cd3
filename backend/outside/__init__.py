"""Labels from outside: what judges and labelling tools of others say of items, sent by programs without leases."""
