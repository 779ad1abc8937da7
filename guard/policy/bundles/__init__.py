"""OPA bundles: archives, manifests, signatures and downloads. ``guard.policy.bundles.loading`` puts them together."""
