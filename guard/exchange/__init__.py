"""One request and its answer, or one WebSocket connection, with all of its state. ``exchange.py`` tells the way; the
other files are its steps."""

from guard.exchange.exchange import Exchange
from guard.exchange.failing import Tally, undecided
from guard.exchange.pressure import Pressure
from guard.exchange.services import Matched, Services
from guard.exchange.websocket import Conversation

__all__ = ["Conversation", "Exchange", "Matched", "Pressure", "Services", "Tally", "undecided"]
