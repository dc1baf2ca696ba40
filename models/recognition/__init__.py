"""Do synthetic images help? A classifier is trained with and without them, and tested on real images it never saw."""
