"""The simulated shoulder itself: its surfaces, tissues and tears, what looks like a tear, and how the probe moves."""
