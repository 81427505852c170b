"""The whole loop on real data in one command: `labelloop demo`."""
