"""Worker processes: where the models and the record meet."""
