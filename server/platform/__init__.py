"""What a server stands on: files, threads, turns of the loop, supervision, the collector, faults on purpose."""
