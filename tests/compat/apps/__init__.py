"""The apps of the compatibility matrix: the same endpoints in every framework, with the guard mounted as its users
mount it. A server loads ``tests.compat.apps.factory:create``."""
