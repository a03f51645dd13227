"""The platform of a server: files, threads, turns of the loop, supervision, the garbage collector, injected faults."""
