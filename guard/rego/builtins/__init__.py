"""The built-in functions, by family. Importing this package registers all of them."""

from . import (
    aggregates,
    arithmetic,
    collections,
    crypto,
    encoding,
    globs,
    graph,
    internal,
    json_paths,
    jwt,
    net,
    regex,
    semver,
    strings,
    time,
    types,
    units,
    uri,
)
from .registry import BUILTINS, Builtin

FAMILIES = (
    aggregates,
    arithmetic,
    collections,
    crypto,
    encoding,
    globs,
    graph,
    internal,
    json_paths,
    jwt,
    net,
    regex,
    semver,
    strings,
    time,
    types,
    units,
    uri,
)

__all__ = ["BUILTINS", "FAMILIES", "Builtin"]
