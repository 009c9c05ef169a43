"""Small independent float64 formulas, written from the papers and not from the package."""
