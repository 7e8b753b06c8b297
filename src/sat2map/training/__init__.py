"""Training: a recipe in, a run folder out, a bundle from it."""
