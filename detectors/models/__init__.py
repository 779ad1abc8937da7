"""Models as artefacts: made, evaluated, kept in versions, watched. ``guard model`` is their command."""
