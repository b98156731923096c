"""The Franka Panda: reaching, and lifting a cube."""
