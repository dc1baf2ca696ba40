"""The record: tables, queries, transactions, and the artefacts' bytes."""
