//! Plain values and rules of the gateway: money, usage, prices, outcomes, policies.
