"""Every record that the API shows, one family a file."""
