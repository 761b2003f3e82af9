//! Scripted mock provider in both wire formats, and load probes.
