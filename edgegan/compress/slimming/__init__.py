"""GAN Slimming: distillation, pruning and quantization in one training, and the extraction of what is left."""
