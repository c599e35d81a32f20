"""Operator norms: lower bounds by power iteration, certified upper bounds."""
