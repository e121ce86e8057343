"""The five steps. Every process of a step imports this package before torch, and so its threads wait as they should."""

import os

from model_core.processors import bound_spinning

# libgomp reads its environment once, when torch loads it: no later moment would do, and no other is in every process.
bound_spinning(os.environ)
