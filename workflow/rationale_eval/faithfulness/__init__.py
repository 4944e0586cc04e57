"""Faithfulness: what happens to the model's prediction when the words of a rationale are masked, or alone are kept."""
