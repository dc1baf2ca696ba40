"""Reports for people: self-contained HTML pages and CSV tables of what was measured. Contracts in, text out."""
