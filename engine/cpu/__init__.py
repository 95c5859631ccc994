"""Engines on a processor: OpenVINO, and onnxruntime to compare with."""
