"""Parts of the check of whether a study can be run."""
