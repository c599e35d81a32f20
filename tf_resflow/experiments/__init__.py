"""The studies of the paper and of this package, one file each."""
