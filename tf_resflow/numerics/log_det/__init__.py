"""Log-determinants: estimators, laws, series and memory modes."""
