"""The key maps under the path by which programs outside import them."""
