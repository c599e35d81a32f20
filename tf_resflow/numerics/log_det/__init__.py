"""Log-determinants: estimators, distributions, series and memory modes."""
