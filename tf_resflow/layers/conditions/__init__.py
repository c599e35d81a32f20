"""What conditions are, and the layers that they pass or enter."""
