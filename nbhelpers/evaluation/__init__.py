"""Floor 6: what a model recalls, what it learned, and what that cost."""
