"""The facts: FastAPI and SQLAlchemy over Postgres, a folder per noun."""
