"""What a network costs at any widths."""
