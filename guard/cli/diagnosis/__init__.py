"""The checks of ``guard doctor``, a module for each thing that is looked at. None of them changes anything."""
