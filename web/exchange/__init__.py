"""Token exchange (RFC 8693): a token of a directory in, a user token of NATS out."""
