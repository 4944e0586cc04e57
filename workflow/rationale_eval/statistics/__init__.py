"""Statistics that know of numbers and strata alone, not of files or methods: intervals, resampling, comparisons."""
