"""One module a kind of job: from its row's parameters to what it made."""
