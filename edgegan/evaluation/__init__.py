"""`edgegan evaluate`: sets of pictures, the judges that compare them, and the order of work."""
