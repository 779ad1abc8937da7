"""What replicas and workers learn of behaviour, shared through Redis or Valkey: lessons, not state (ADR 18).

Each guard puts what its model learned from into one stream and teaches its own model by what the others put there. A
newcomer begins with a snapshot that one of them left. All of it runs in threads of its own: a request adds to a queue.
"""

from guard.exchange.sharing.sharing import Sharing
from guard.exchange.sharing.telling import SharingState

__all__ = ["Sharing", "SharingState"]
