"""The report: what the study's cells say, as tables, figures and one page."""
