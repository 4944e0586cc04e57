"""Fine-tuning: one epoch in, one epoch out; each epoch is a checkpoint that later ones continue."""
