"""Generators that grow an image from small maps: StyleGAN2, GANsformer, GAN, SAGAN, k-GAN."""
