"""Planner demonstrations in random mazes, the offline data of SPiRL's maze experiment."""
