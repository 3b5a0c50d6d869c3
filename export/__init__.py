"""Lowering: a generator package to ONNX and TFLite artefacts, proved equal on golden inputs."""
