"""Rationales: from evidence to one score per word, or to a set of words."""
