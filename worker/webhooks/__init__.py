"""Sending what happened to clients' webhooks, by the maintenance process."""
