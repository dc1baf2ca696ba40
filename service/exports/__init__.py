"""A generation as a zip in the layout that a training tool reads: which images, where they lie, and the bytes."""
