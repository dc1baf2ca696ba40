"""Pure algorithms: paths, arrays and configurations in, dataclasses out. Knows no HTTP, queue or database."""
