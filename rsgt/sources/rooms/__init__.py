"""Rendered indoor rooms, from shapes to a photograph.

``mesh`` shapes -> ``style``, ``clutter``, ``furniture`` things -> ``plan``, ``kinds`` a furnished room ->
``tracing``, ``surface``, ``lighting``, ``view`` the light that a camera sees -> ``sensor`` what it and its
annotators record -> ``frame`` all of it for one frame.
"""
