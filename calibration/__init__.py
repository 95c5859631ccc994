"""What a model needs before it may be trusted: its operating point and its INT8 network."""
