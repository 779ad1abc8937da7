"""The server through which behaviour is shared: does it answer, and do the others hold the same pseudonym key."""

from __future__ import annotations

from collections.abc import Iterator

from guard.cli.diagnosis.check import Check
from guard.config import GuardConfig
from guard.errors import ConfigError, GuardError
from guard.exchange.sharing.sealing import Seal, SealBroken
from guard.exchange.sharing.store import Store, StoreFailed
from guard.record.keys import PSEUDONYM_KEY, load_pseudonym_key

_NAME = "sharing"


def check_sharing(config: GuardConfig) -> Iterator[Check]:
    """Asks the server that ``[detectors.sharing]`` names; nothing where it names none. Writes nothing there."""
    sharing = config.detectors.sharing
    if sharing is None:
        return
    try:
        store = Store(sharing)
    except ConfigError:
        return  # told among the remarks on the configuration
    try:
        store.ping()
        newest = store.newest()
    except StoreFailed as error:
        mend = "start the server, or look at address, password and network; requests do not wait for it"
        yield Check(_NAME, "warning", f"the server does not answer as it should: {error}", sharing.url, mend)
        return
    finally:
        store.close()
    file = config.state_directory / "keys" / PSEUDONYM_KEY
    if newest is None or not file.exists():
        yield Check(_NAME, "ok", "the server answers; nothing is shared there yet", sharing.url)
        return
    try:
        Seal(load_pseudonym_key(file), sharing.name).open(b"L", newest.envelope)
    except SealBroken as error:
        mend = "give all replicas one pseudonym key (state_directory/keys), or each deployment a name of its own"
        yield Check(_NAME, "warning", f"the newest message there does not open: {error}", sharing.url, mend)
    except GuardError:
        return  # told among the keys
    else:
        yield Check(_NAME, "ok", "the server answers, and what is shared there opens", sharing.url)
