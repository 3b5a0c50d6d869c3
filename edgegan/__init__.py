"""edgegan: compress, lower, prove and measure image-to-image GAN generators for edge devices."""

__version__ = "0.1.0"
