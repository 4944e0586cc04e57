"""The paper's claims as fixed contrasts, the same for every study, and what a study says of each."""
