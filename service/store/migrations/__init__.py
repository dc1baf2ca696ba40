"""Alembic migrations of the record, packaged with it."""
