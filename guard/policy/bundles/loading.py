"""From a configuration to the policies that it names: directories, a bundle on disk, or one that is downloaded."""

from __future__ import annotations

from guard.config import GuardConfig
from guard.policy.bundle import Bundle, bundle_data, load_bundle
from guard.policy.bundles.opened import open_bundle
from guard.policy.bundles.remotes import Remotes


def bundle_for(config: GuardConfig, remotes: Remotes | None = None) -> Bundle:
    """The policies and data of a configuration, read, verified, checked and joined; not compiled.

    A bundle with an address is the newest archive of ``remotes``; without these it is downloaded now. Raises
    ``PolicyInvalid``, ``BundleRefused`` and ``ConfigError``, and ``KeyInvalid`` where a key cannot be used.
    """
    policy = config.policy
    opened = None
    if policy.bundle is not None:
        archive = (remotes or Remotes()).archive(policy.bundle) if policy.bundle.remote else None
        opened = open_bundle(policy.bundle, archive)
    return load_bundle(directories=policy.directories, opened=opened, shipped=policy.shipped, data=bundle_data(config))
