"""Fixed-point solvers, and gradients by the implicit function theorem."""
