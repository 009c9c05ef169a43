"""Pictures of painters: grids, strips, films, walks, spectra, learning curves."""
