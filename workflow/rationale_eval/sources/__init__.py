"""Where corpora and models come from besides packages and local files: addresses, and the Hugging Face hub."""
