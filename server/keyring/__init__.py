"""Root keys: made, wrapped, kept, exchanged, asked for."""
