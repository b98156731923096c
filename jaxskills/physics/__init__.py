"""One stepping function over three physics engines, and what may differ from world to world."""
