"""What the behaviour model learned, beyond one process: kept over restarts, shared with other replicas."""

from __future__ import annotations

from guard.config import GuardConfig
from guard.exchange.remembering import Keeper
from guard.exchange.sharing import Sharing
from guard.exchange.sharing.receiving import Model
from guard.keyed import KeyedHash


class Lasting:
    """Both, as the configuration asks for them; each is nothing where it does not."""

    def __init__(self, config: GuardConfig, model: Model) -> None:
        """``model`` gives the one that decides now. Opens nothing. Raises ``ConfigError`` where the library for sharing
        is missing."""
        detectors = config.detectors
        seconds = detectors.behaviour_snapshot_seconds
        self._keeper = Keeper(config.state_directory, config.record.name, seconds, model)
        self.sharing = Sharing(detectors.sharing, model, snapshot_seconds=seconds) if detectors.sharing else None

    async def start(self, keyed: KeyedHash) -> None:
        """Read what this process kept, then what is shared: that is newer, and takes its place."""
        await self._keeper.start()
        if self.sharing is not None:
            await self.sharing.start(keyed, self._keeper.since_s)

    async def stop(self) -> None:
        """Share and write what is left."""
        if self.sharing is not None:
            await self.sharing.stop()
        await self._keeper.stop()

    def counters(self) -> dict[str, int]:
        """For the heartbeats. From any thread."""
        return self.sharing.counters() if self.sharing is not None else {}
