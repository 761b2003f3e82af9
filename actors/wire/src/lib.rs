//! Vendor dialects: pure bytes to domain values and back.
