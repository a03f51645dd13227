"""The application: protocol, limits, bodies, answers."""
