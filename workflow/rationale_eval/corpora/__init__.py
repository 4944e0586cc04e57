"""Corpora: one module per source format, all yielding instances."""
