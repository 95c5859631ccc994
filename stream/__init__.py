"""Everything between a scanner and an eye: attach, serve, view."""
