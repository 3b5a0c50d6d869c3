"""Where activations saturate, so that an int8 range need not reach further."""

from __future__ import annotations

from typing import Final

# tanh(3) is 0.995; the step of eight bits inside is 0.024, against 0.4 for a head that reaches 50.
TANH_LIMIT: Final = 3.0
