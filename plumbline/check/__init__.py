"""`plumbline check`: what is misconfigured, and how to mend it; nothing is changed."""
