"""Every process on one machine: what `telecine up` starts, watches and stops."""
