"""What a handler for DJL Serving imports: `from djl_python import Input, Output`."""

from .inputs import Input
from .outputs import Output
from .pair_list import PairList
from .session_manager import Session, SessionManager

__version__ = "0.36.0"
__all__ = ["Input", "Output", "PairList", "Session", "SessionManager"]
