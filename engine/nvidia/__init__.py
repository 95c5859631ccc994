"""Engines on an NVIDIA GPU: TensorRT and TensorRT-RTX."""
