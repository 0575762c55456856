"""From frames to files that people can play."""
