"""The HTTP API, the shared language and the record of what exists. Never imports torch."""
