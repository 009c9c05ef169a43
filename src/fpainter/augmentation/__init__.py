"""Changes of the images that a discriminator judges."""
