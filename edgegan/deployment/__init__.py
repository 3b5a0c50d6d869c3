"""What runs how on the targets: facts that training, compression and export share. It imports none of them."""
