"""How the demo fails."""


class DemoFailed(Exception):
    """The demo cannot go on; the message says why and what to do, in words for the person at the terminal."""
