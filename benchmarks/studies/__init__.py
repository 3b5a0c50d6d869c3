"""What only make bench-* runs: peers, ablations and fits; not part of the wheel."""
