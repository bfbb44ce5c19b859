"""The networks: what sees, what makes images, and where weights come from."""
