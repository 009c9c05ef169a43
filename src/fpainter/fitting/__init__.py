"""Pictures redrawn by a learning rule, without a GAN."""
