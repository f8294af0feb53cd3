"""The science: objectives, training, judges, formats and statistics; no database, queue or web."""
