"""The exported files walk in plain C MuJoCo, in lock step: no DDS, no threads, no training code.

The simulated robot, the states, the observation, the policy and the safety filter are the lines
that the controller and the simulated H1 run; only time is the simulation's own, so that the outcome
is the same on a busy machine. Each state is one physics step old when it is used, each order works
from the next step on.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxskills.deploy import safety
from jaxskills.deploy.bundle import Bundle
from jaxskills.deploy.h1.body import Body, Harness
from jaxskills.deploy.h1.commands import Ranges, Velocity, Wish
from jaxskills.deploy.h1.machine import (
  TICK_SECONDS,
  Decision,
  Machine,
  Packer,
  State,
  read_contract,
)
from jaxskills.deploy.h1.observation import Observation, Policy
from jaxskills.deploy.h1.sensing import Sensing, reading_of
from jaxskills.deploy.runtime import Policy as BundlePolicy

_SEGMENTS = 4  # of the walk, each with its own command
_START = 1.0  # s, so that ages and stamps are positive


class Outcome(NamedTuple):
  """What happened.

  Attributes:
    passed: it walked to the end, never fell, was never damped and broke no limit.
    lines: for people.
    figures: for the record.
  """

  passed: bool
  lines: tuple[str, ...]
  figures: Mapping[str, Any]


def check(bundle: Bundle, seconds: float = 20.0, policy: Policy | None = None) -> Outcome:
  """Stands up, is let go, and walks at four commands of its range one after the other.

  Args:
    bundle: from `bundle.read`; it need not be verified yet.
    seconds: of walking.
    policy: instead of the bundle's own.
  """
  manifest = bundle.manifest
  contract = read_contract(manifest)
  policy = policy or BundlePolicy(bundle)
  sensing, observation = Sensing(manifest["parts"]["robot"]), Observation(manifest)
  machine, packer = Machine(contract), Packer(contract.motors, contract.modes)
  body = Body(Harness("policy"), TICK_SECONDS)
  period = round(contract.step_seconds / TICK_SECONDS)
  action, decision, walked = np.zeros(contract.action_size, np.float32), None, 0
  errors: list[float] = []
  reason = ""
  state = body.step()
  while walked * TICK_SECONDS < seconds and machine.state is not State.DAMP:
    now = _START + body.time
    senses = sensing.read(state)
    velocity = script(contract.ranges, walked * TICK_SECONDS / seconds)
    if machine.state is State.POLICY:
      if walked % period == 0:
        step = walked // period
        action = policy.step(observation.build(senses, velocity, action, step))
        decision = Decision(step, now, safety.target_of(contract.limits, action))
        errors.append(_velocity_error(body, velocity))
      walked += 1
    # The body is lowered to the floor half a second after the machine could begin to walk.
    wish = Wish(velocity, stand=True, walk="lowered" in body.events)
    order = machine.tick(now, reading_of(senses, now), wish, decision)
    reason = order.reason
    body.obey(packer.pack(order.position, order.stiffness, order.damping).copy())
    state = body.step()
  return _outcome(body, machine, reason, walked * TICK_SECONDS, errors)


def script(ranges: Ranges, share: float) -> Velocity:
  """The command at a share of the walk: half speed ahead, all of it, turning, standing."""
  (_, _, _), (ahead, _, turn) = ranges.low, ranges.high
  commands = ((0.5 * ahead, 0.0, 0.0), (ahead, 0.0, 0.0), (0.5 * ahead, 0.0, turn), (0.0, 0.0, 0.0))
  return ranges.clip(commands[min(int(share * _SEGMENTS), _SEGMENTS - 1)])


def _velocity_error(body: Body, velocity: Velocity) -> float:
  """How far the base's planar velocity is off, m/s."""
  ahead, left = body.velocity()
  return float(np.hypot(ahead - velocity[0], left - velocity[1]))


def _outcome(
  body: Body, machine: Machine, reason: str, walked: float, errors: list[float]
) -> Outcome:
  counts = {**body.counts, "saturated": body.saturated}
  broken = {name: count for name, count in counts.items() if count}
  is_whole = machine.state is State.POLICY and not broken and "released" in body.events
  error = float(np.mean(errors)) if errors else None
  figures = {
    "seconds_walked": walked,
    "metres_walked": body.walked,
    "mean_velocity_error": error,
    "damped": reason,
    "fastest_joint": body.fastest,
    **counts,
  }
  lines = [f"walked {walked:.1f} s and {body.walked:.1f} m"]
  if error is not None:
    lines.append(f"mean velocity error {error:.2f} m/s")
  lines.append(f"fastest joint at {body.fastest:.2f} of its speed limit (1.1 is let pass)")
  lines.append(f"damped: {reason}" if reason else "never damped")
  lines.append(
    ", ".join(f"{name} {count}" for name, count in broken.items())
    if broken
    else "no fall, no limit violated"
  )
  return Outcome(is_whole, tuple(lines), figures)
