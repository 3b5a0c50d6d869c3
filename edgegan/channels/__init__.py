"""One mechanism for every change of width: channel graph, slicing, importance, constant folding,
search space."""
