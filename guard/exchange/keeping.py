"""Hiding the values of a request, in the vault of its exchange or of its conversation."""

from __future__ import annotations

from typing import Final

from starlette.types import Scope

from guard import content as reading
from guard.exchange.judge import Judgement
from guard.exchange.services import Services
from guard.keyed import KeyedHash
from guard.obligations.redact import Redaction, redact, restore
from guard.obligations.sealing import Binding
from guard.obligations.vault import Vault
from guard.types import Content, Principal

MAX_ID_CHARACTERS: Final = 256
# The store waits for the disk: always for a worker thread.
_BLOCKS: Final = 1 << 62
_NOTHING: Final = Redaction({}, {})


def binding_of(services: Services, principal: Principal, scope: Scope, content: Content) -> Binding | None:
    """Whose conversation this request belongs to; ``None`` where values are kept for its exchange only: nobody was
    authenticated (all strangers are one), or no conversation is named, in one way, by 1 to 256 characters."""
    vault = services.config.vault
    if services.conversations is None or not principal.authenticated:
        return None
    named = None
    if vault.conversation_header is not None:
        name = vault.conversation_header.encode()
        given = [value for key, value in scope["headers"] if key.lower() == name]
        named = given[0].decode("latin-1").strip() if len(given) == 1 else None
    if not named:
        found = (reading.member(content, pointer) for pointer in vault.conversation_pointers)
        named = next((value for value in found if value), None)
    return Binding.of(principal, named) if named and len(named) <= MAX_ID_CHARACTERS else None


async def hide(
    services: Services, binding: Binding | None, vault: Vault, judgement: Judgement, keyed: KeyedHash
) -> tuple[Vault, Redaction]:
    """The redactions of a request and the vault that keeps what they hid: durable, if it outlives the exchange.

    Placeholders of the vault that the client sent back are left as they are. Raises ``ObligationFailed``.
    """
    due = bool(judgement.findings) and judgement.duties.redacts

    def texts() -> list[str]:
        return [segment.text for segment in judgement.segments]

    def work(vault: Vault) -> Redaction:
        if not due:
            return _NOTHING
        return redact(
            judgement.segments,
            judgement.findings,
            judgement.duties.redactions,
            vault=vault,
            keyed=keyed,
            protected=restore(judgement.segments, vault),
        )

    if binding is not None and services.conversations is not None:
        return await services.offload(_BLOCKS, services.conversations.use, binding, texts, work)
    if due and not vault.used:
        vault = Vault(texts())
    return vault, work(vault)
