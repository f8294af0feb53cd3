"""Feedback: what users of a deployed model said of its answers, sent by programs, kept as data to train on."""
