"""Adapting a base model to one defect class: a token, then low-rank matrices."""
