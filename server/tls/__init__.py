"""Certificates: those of an agent, read anew, and those that `yurt tls` makes."""
