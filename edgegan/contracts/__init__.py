"""What files may hold: bounds before memory is taken, and the schemas of manifests."""
