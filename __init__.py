"""smartca: live rotator-cuff-tear outlines on any ultrasound feed."""

__version__ = "0.1.0"
