"""Everything that is a screen or a command. Nothing in here imports torch."""
