"""The HTTP API: routes, dependencies, the error handler."""
