"""The page's routes, one file a place in it."""
