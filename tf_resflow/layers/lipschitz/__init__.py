"""Layers with known Lipschitz bounds, and the norms these hold in."""
