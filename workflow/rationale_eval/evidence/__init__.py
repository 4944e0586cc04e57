"""Evidence: raw, method-agnostic measurements of a checkpoint on every instance."""
