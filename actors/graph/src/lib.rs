//! The actors themselves and the graph that wires them.
