//! Embedded (redb) and Redis stores: limits, cache, budgets, usage, keys, audit.
