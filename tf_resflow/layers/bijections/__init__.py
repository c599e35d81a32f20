"""Invertible layers with log-determinants, and compositions of them."""
