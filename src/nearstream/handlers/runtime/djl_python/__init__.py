"""What a handler for DJL Serving imports: `from djl_python import Input, Output`."""

from .inputs import Input
from .outputs import Output
from .pair_list import PairList

__all__ = ["Input", "Output", "PairList"]
