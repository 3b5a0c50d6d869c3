"""GAN Compression: the supernet, the search of its sub-networks, the front."""
