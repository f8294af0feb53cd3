"""The audit log: who gave away, deleted or changed what, and when."""
