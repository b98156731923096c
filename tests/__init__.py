"""Tests; the folders mirror `jaxskills`."""
