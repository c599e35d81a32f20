"""Conditions of `p(x|c)`, their encoders, and layers that depend on them."""
