"""Beads poured from one vessel into another, and failures to: after TCN's multi-view pouring."""
