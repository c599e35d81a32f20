"""Properties that every layer, bijection, bijector and flow must have."""
