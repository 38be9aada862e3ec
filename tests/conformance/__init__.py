"""The same cases played against the real nats-server and against ours, over real sockets."""
