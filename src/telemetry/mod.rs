//! What the gateway tells about itself: metrics and logs.

pub mod logs;
pub mod metrics;
pub mod sketch;
