"""The commands that talk to a running service, through the same Python client that anybody may install."""
