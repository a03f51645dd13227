"""The yurt command, one noun a file."""
