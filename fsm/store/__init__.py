"""Tables, transactions, views, watches and snapshots."""
