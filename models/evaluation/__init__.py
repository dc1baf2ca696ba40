"""Is it good? Feature extractors, distances between image sets with their floors, and the copy check."""
