"""What happens to data before the first bijection of a flow."""
