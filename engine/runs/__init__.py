"""A run as a thing that outlives its terminal."""
