"""Pictures of images, painting steps and learning curves."""
