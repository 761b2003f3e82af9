//! The provider actor against small servers that speak raw bytes, so that every way to fail can be played.

mod streams;
mod support;
mod tls;
mod wholes;
