"""The Unitree H1's controller over its own protocol, and a simulated H1 that speaks it."""
