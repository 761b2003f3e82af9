//! Load probes: the client in front of the gateway.
