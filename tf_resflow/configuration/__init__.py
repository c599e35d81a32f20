"""What can be asked for: names, specs and fields, without TensorFlow."""
