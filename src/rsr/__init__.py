"""RSR: prompts in, verified training data out."""

__version__ = "0.1.0"
