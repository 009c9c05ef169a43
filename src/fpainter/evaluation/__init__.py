"""How good the painted images are: Inception features, protocols and the Fréchet distance."""
