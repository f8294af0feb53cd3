"""The hands: Celery tasks that claim a row, call alignment and write the row."""
