"""Models: preparation, loading, prompts with character offsets, batches and label scores."""
