"""What ``guard keys show`` tells: files, origins and the lines of a trust file. No private key enters it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from guard.config import GuardConfig
from guard.errors import GuardError, KeyInvalid
from guard.record.deployment import NEXT_KEY, NOTES, read_notes
from guard.record.endorse import read_endorsement
from guard.record.history import read_epochs
from guard.record.keyfiles import read_private
from guard.record.keys import PSEUDONYM_KEY, SIGNING_KEY, VAULT_KEY
from guard.record.note import VerifierKey, split_note
from guard.record.trust import TrustedKey
from guard.record.verify import find_origins
from guard.starting import deployment_keys, elsewhere


class KeyFile(msgspec.Struct, frozen=True):
    """A file of keys; ``state`` is ``ok``, ``missing``, or what is wrong with it."""

    path: str
    state: str


class OriginKey(msgspec.Struct, frozen=True):
    """The key that an origin signs with now (a vkey), how many it had, and whether the deployment's newer key is still
    to follow."""

    origin: str
    key: str
    epochs: int
    pending: bool


class KeyReport(msgspec.Struct, frozen=True):
    """Everything about the keys of a deployment that may be shown. ``roots`` are names of roots that endorsed the
    deployment's key."""

    key: str
    files: list[KeyFile]
    roots: list[str]
    origins: list[OriginKey]
    tenants: int
    trust: list[str]


def report(config: GuardConfig) -> KeyReport:
    """Looks at the keys and the log of a configuration. Raises ``KeyInvalid`` where the signing key cannot be used."""
    directory = config.state_directory / "keys"
    if not elsewhere(config) and not directory.exists():
        raise KeyInvalid("there are no keys yet", where=str(directory), mend="guard keys new, or the first start")
    keys = deployment_keys(config)
    key = VerifierKey.of(keys.present().signer(config.record.name))
    names = [PSEUDONYM_KEY] if elsewhere(config) else [SIGNING_KEY, PSEUDONYM_KEY]
    names += [name for name in (VAULT_KEY, NEXT_KEY, NOTES) if (directory / name).exists()]
    origins: list[OriginKey] = []
    trust: list[str] = []
    for path in find_origins(config.state_directory / "log"):
        try:
            epochs = read_epochs(path)
        except (ValueError, OSError):
            trust.append(f"# {path.name}: its key records do not read; guard log verify says why")
            continue
        pending = config.record.key_per == "deployment" and epochs.key.public_key != key.public_key
        origins.append(OriginKey(path.name, epochs.key.encode(), len(epochs.history), pending))
        for epoch in epochs.history:
            whole = len(epochs.history) == 1
            sizes = "" if whole else TrustedKey(epoch.key, epoch.first, epoch.last).sizes
            trust.append(f"{epoch.key.encode()} {sizes}".strip())
    if not trust:
        trust.append(_before_the_first_start(config, key))
    return KeyReport(
        key.encode(),
        [KeyFile(str(directory / name), _state(directory / name)) for name in names],
        _roots(directory, key.public_key),
        origins,
        sum(1 for _ in directory.glob("tenants/*.key")),
        trust,
    )


def _before_the_first_start(config: GuardConfig, key: VerifierKey) -> str:
    if config.record.key_per != "deployment":
        # Each origin will begin under a key of its own, which this one endorses.
        return f"root {key.encode()}"
    return VerifierKey(f"{config.record.name}-0", key.public_key).encode()


def _state(path: Path) -> str:
    if not path.exists() and not path.is_symlink():
        return "missing"
    try:
        read_private(path)
    except GuardError as error:
        return error.what
    return "ok"


def _roots(directory: Path, key: bytes) -> list[str]:
    names: set[str] = set()
    for note in read_notes(directory):
        if read_endorsement(note).key == key:
            names |= {line.name for line in split_note(note)[1]}
    return sorted(names)
