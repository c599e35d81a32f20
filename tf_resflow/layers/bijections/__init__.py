"""Invertible layers with log-determinants, and flows made of them."""
