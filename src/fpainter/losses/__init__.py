"""Adversarial losses and discriminator regularisers."""
