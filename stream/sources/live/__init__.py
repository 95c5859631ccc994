"""Feeds that do not wait: cameras, screens, OpenIGTLink, network video; the newest picture only."""
