"""Records come back from JSON as they went."""

from typing import NamedTuple

from jaxskills.envs.named_json import from_json, to_json


class Point(NamedTuple):
  x: float
  y: float


class Path(NamedTuple):
  name: str
  points: tuple[Point, ...]
  ends: tuple[Point, Point]
  marks: tuple[tuple[float, float], ...]
  closed: bool


def test_nested_records_come_back_equal_and_of_their_kinds():
  start, end = Point(0.1, 1 / 3), Point(-1e-9, 2.0)
  path = Path("é", (start, end, end), (start, end), ((0.5, 1.5),), True)
  again = from_json(Path, to_json(path))
  assert again == path and "\n" not in to_json(path)
  assert isinstance(again.points[2], Point) and isinstance(again.ends, tuple)
  assert isinstance(again.marks[0], tuple) and again.closed is True


def test_nothing_at_all_comes_back_as_nothing():
  empty = Path("", (), (Point(0, 0), Point(0, 0)), (), False)
  assert from_json(Path, to_json(empty)) == empty
