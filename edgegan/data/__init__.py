"""Images in: folders of pictures, and the drawings that come with edgegan."""
