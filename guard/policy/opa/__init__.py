"""A real OPA server as the engine, through opa-python-client (extra ``[opa]``): the queries (``engine``), what is asked
of the library (``client``, ``credentials``), what goes wrong (``errors``, ``breaker``), whose policies answer
(``served``), putting them there (``management``) and what the server says of itself (``status``)."""

from guard.policy.opa.engine import OpaEngine
from guard.policy.opa.management import Pushed
from guard.policy.opa.status import BundleStatus, ServerStatus

__all__ = ["BundleStatus", "OpaEngine", "Pushed", "ServerStatus"]
