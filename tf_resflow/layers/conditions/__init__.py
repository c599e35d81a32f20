"""Networks that conditions pass before they enter a flow."""
