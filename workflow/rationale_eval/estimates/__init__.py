"""Parts of the estimate of what a study takes."""
