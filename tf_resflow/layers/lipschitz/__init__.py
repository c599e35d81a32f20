"""Layers that know the norm in which they are bounded, and by what."""
