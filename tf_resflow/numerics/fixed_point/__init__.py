"""Fixed points: solvers, their convergence, and the implicit gradient."""
