"""Where a viewer's overlays go: the live page, a recording, the terminal."""
