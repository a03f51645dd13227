"""The Raft engine on pysyncobj's frame, and its storage and transport."""
