"""One request and its answer, with all of its state. ``exchange.py`` tells the way; the other files are its steps."""

from guard.exchange.exchange import Exchange
from guard.exchange.services import Matched, Services

__all__ = ["Exchange", "Matched", "Services"]
