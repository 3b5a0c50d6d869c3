"""Every kind of cost, one line each: its name here is that of its budget, its option and its figures.

The order is that in which they are shown; of several budgets the first is the one a front is drawn over.
"""

# ruff: noqa: F401, I001

from edgegan.recipe.usual_costs import MACS as macs
from edgegan.recipe.usual_costs import PARAMS as params
from edgegan.recipe.usual_costs import BYTES as bytes
from edgegan.recipe.usual_costs import MS as ms
from edgegan.recipe.usual_costs import INSTRUCTIONS as instructions
