"""The functions of the language, a family a file."""
