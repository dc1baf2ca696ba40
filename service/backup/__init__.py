"""Backup and restore: one archive with the record and every stored file that it names, from any database to any."""
