"""Making images of a class, from real images or from noise."""
