"""The paper's claims as contrasts written down beforehand, and what a study says of each."""
