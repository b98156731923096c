"""A hand pours beads from one vessel into another: scenes, attributes, demonstrations."""
