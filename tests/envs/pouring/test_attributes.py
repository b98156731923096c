"""The five attributes and success, on states made by hand."""

import numpy as np
import pytest

from jaxskills.envs.pouring import attributes
from jaxskills.envs.pouring.attributes import ANGLES, ATTRIBUTES
from jaxskills.envs.pouring.vessels import is_inside
from tests.envs.pouring.vessels_on_a_table import RECIPIENT, SCENE, make, pose

IN_CONTAINER, IN_RECIPIENT = (0.5, -0.2, 0.02), (*RECIPIENT, 0.02)


@pytest.mark.parametrize(
  ("change", "truth"),
  [
    ({}, True),
    ({"opening": 0.4}, False),  # around it and open
    ({"hand_at": (0.47, -0.2, 0.05)}, False),  # closed beside it
    ({"hand_at": (0.5, -0.2, 0.08)}, False),  # closed above where it is held
  ],
)
def test_contact_is_a_closed_hand_where_the_container_is_held(change, truth):
  now = make(**{"opening": 0.02, "hand_at": (0.5, -0.2, 0.05), **change})
  assert attributes.in_contact(SCENE, now) == truth


def test_contact_goes_along_with_a_tilted_container():
  now = make(container=(0.5, -0.2, 0.2, 90.0), hand_at=(0.5, -0.15, 0.2), opening=0.0)
  assert attributes.in_contact(SCENE, now)


@pytest.mark.parametrize(
  ("container", "truth"),
  [
    ((0.5, -0.09, 0.1), True),  # the near rim is 5.8 cm from the axis: over the opening or nearly
    ((0.5, -0.12, 0.1), False),
    ((0.59, 0.0, 0.1), True),  # from any side
    ((0.5, -0.09, 0.0, 0.0), True),  # stands beside it, higher than the rim
    ((0.5, -0.09, -0.03), False),  # its opening is lower than the rim
    ((0.5, -0.13, 0.1, 90.0), True),  # lies: its opening is over the recipient
  ],
)
def test_pouring_distance_is_a_rim_over_the_others_opening(container, truth):
  assert attributes.within_distance(SCENE, make(container=container)) == truth


@pytest.mark.parametrize(
  ("degrees", "side", "angle"),
  [(0, -0.2, 0), (40, -0.2, 45), (-40, -0.2, -45), (80, -0.2, 90), (130, -0.2, 90), (40, 0.2, -45)],
)
def test_an_angle_counts_from_the_side_of_the_recipient(degrees, side, angle):
  now = make(container=(0.5, side, 0.1, degrees))
  measured = attributes.tilt(now)
  assert measured == pytest.approx(degrees * (1 if side < 0 else -1), abs=1e-6)
  assert ANGLES[attributes.angle_class(measured)] == angle


def test_classes_of_an_angle_change_half_way():
  edges = np.array([-22.6, -22.4, 22.4, 22.6, 67.4, 67.6])
  assert [ANGLES[number] for number in attributes.angle_class(edges)] == [-45, 0, 0, 45, 45, 90]


@pytest.mark.parametrize(
  ("place", "speed", "truth"),
  [
    ((0.5, 0.0, 0.15), 0.5, True),  # on its way
    ((0.5, 0.0, 0.05), 0.5, True),  # below the recipient's rim, still on its way
    ((0.5, 0.0, 0.02), 0.1, False),  # lies or rolls
    (IN_CONTAINER, 0.5, False),  # falls within the container
    ((0.5, 0.0, 0.15), -0.5, False),  # goes up
  ],
)
def test_it_flows_while_a_bead_falls_that_has_left_the_container(place, speed, truth):
  now = make(beads=[place], speeds=[speed])
  assert attributes.is_flowing(SCENE, now) == truth
  assert attributes.falling(SCENE, now) == int(truth)


def test_beads_count_where_they_are():
  now = make(beads=[IN_CONTAINER, IN_RECIPIENT, (*RECIPIENT, 0.079), (*RECIPIENT, 0.081)])
  assert attributes.left_over(SCENE, now) == 1 and attributes.poured(SCENE, now) == 2


def test_inside_goes_along_with_a_vessel_that_lies():
  lying = pose(0.5, -0.2, 0.2, 90.0)
  places = np.array([(0.5, -0.15, 0.2), (0.5, -0.15, 0.235), (0.5, -0.09, 0.2), (0.5, -0.21, 0.2)])
  assert list(is_inside(SCENE.container, lying, places)) == [True, False, False, False]


@pytest.mark.parametrize(
  ("change", "truth"),
  [
    ({}, True),
    ({"beads": [IN_RECIPIENT, IN_RECIPIENT, IN_CONTAINER, IN_CONTAINER]}, True),  # half is enough
    ({"beads": [IN_RECIPIENT, IN_CONTAINER, IN_CONTAINER, IN_CONTAINER]}, False),  # a quarter not
    ({"beads": [IN_RECIPIENT] * 3}, False),  # a quarter is spilled
    ({"container": (0.5, -0.2, 0.0, 60.0)}, False),  # it does not stand
    ({"container": (0.5, -0.2, 0.05)}, False),  # nor there
    ({"hand_at": (0.5, -0.2, 0.05), "opening": 0.0}, False),  # still held
    ({"speeds": [0.5]}, False),  # still falling
  ],
)
def test_success_is_enough_in_the_recipient_and_all_put_down(change, truth):
  now = make(**{"beads": [IN_RECIPIENT] * 4, **change})
  assert attributes.is_success(SCENE, now) == truth


def test_predicates_take_time_as_they_take_an_instant():
  instants = [
    make(),
    make(container=(0.5, -0.09, 0.1, 80.0), beads=[(0.5, 0.0, 0.15)], speeds=[1.0]),
    make(hand_at=(0.5, -0.2, 0.05), opening=0.0, beads=[IN_RECIPIENT] * 4),
  ]
  film = attributes.Situation(*(np.stack(part) for part in zip(*instants, strict=True)))
  for judge in (
    attributes.in_contact,
    attributes.within_distance,
    attributes.is_flowing,
    attributes.poured,
    attributes.is_success,
  ):
    each = [judge(SCENE, now) for now in instants]
    np.testing.assert_array_equal(judge(SCENE, film), each)
  np.testing.assert_allclose(attributes.tilt(film), [attributes.tilt(now) for now in instants])


def test_the_five_have_the_classes_of_the_paper():
  assert list(ATTRIBUTES.values()) == [2, 2, 4, 2, 2] and len(ANGLES) == ATTRIBUTES["angle"]
