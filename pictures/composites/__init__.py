"""Tears that never were, set into real pictures without one: simulated gaps, and lesions of other organs."""
