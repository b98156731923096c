"""The Franka's controller: a policy at its own rate, and smooth, safe joint positions at 1 kHz."""
