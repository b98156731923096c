"""Models of our own: MJCF written from published kinematics."""
