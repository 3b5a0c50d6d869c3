"""A cost model of a family of networks: tables of its layers measured once on a device, then interpolated."""
