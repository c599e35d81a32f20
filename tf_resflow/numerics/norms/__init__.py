"""Operator norms: power iteration from below, certificates from above."""
