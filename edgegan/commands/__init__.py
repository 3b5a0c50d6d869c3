"""The commands of the command line, one file a subject; edgegan/cli.py names them all."""
