"""Ways to run Yurt: a local cluster, systemd, containers."""
