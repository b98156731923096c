"""The Franka Panda on a table: worlds in which it reaches and lifts."""
