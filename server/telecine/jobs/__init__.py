"""Videos as jobs: their states, their queue, their events and their checkpoints, all in Redis."""
