"""How well an outline fits the truth: overlap, distance, tears found, calibration error."""
