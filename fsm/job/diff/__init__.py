"""The structured difference of two jobs: tables of what is compared, and the few rules that read them."""
