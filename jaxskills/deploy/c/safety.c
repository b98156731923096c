/* The safety filter; see safety.h. Sums are in the order of jaxskills.deploy.safety. */
#include "safety.h"

#include <float.h>
#include <math.h>

static const double NEVER = -1e300; /* s, the stamp of what has not come yet */
static const double LATEST = 1e15;  /* s; a clock that says more is broken */
static const double UPRIGHT_SLACK = 1.000001;
static const double FRESH_TICKS = 2.0;
static const double SAME = 1.000000001; /* equal to a limit but for rounding */
static const double NO_TORQUE = 1e-9;   /* N m; only so that nothing is divided by zero */

static double lesser(double a, double b) { return a < b ? a : b; }

static double greater(double a, double b) { return a > b ? a : b; }

/* Within bounds, and never minus zero. */
static double clip(double value, double lower, double upper) {
  return lesser(greater(value, lower), upper) + 0.0;
}

static int is_finite(double value) { return fabs(value) <= DBL_MAX; }

void safety_start(safety_state *state) {
  int joint, tick;
  state->now = state->reading_stamp = state->command_stamp = NEVER;
  state->upright = 1.0;
  state->height = HUGE_VAL;
  state->misses = state->held = 0.0;
  state->engaged = 0;
  state->mode = SAFETY_IDLE;
  state->reason = SAFETY_NONE;
  for (joint = 0; joint < SAFETY_JOINTS; joint++) {
    const double pose = SAFETY_DEFAULT_POSE[joint];
    state->position[joint] = state->wanted[joint] = state->goal[joint] = pose;
    state->velocity[joint] = state->goal_velocity[joint] = state->speed[joint] = 0.0;
    for (tick = 0; tick < SAFETY_WINDOW; tick++) state->track[tick][joint] = pose;
  }
}

/* The time; returns whether the clock broke. Stamps of a broken clock are forgotten. */
static int tell_time(safety_state *state, double now) {
  const int is_time = fabs(now) <= LATEST;
  const double elapsed = (is_time ? now : 0.0) - state->now;
  const int goes_on = elapsed >= 0.0 && elapsed <= SAFETY_CLOCK_SECONDS;
  const int broke = !(is_time && (goes_on || state->now == NEVER));
  if (is_time) state->now = now;
  if (broke) state->reading_stamp = state->command_stamp = NEVER;
  return broke;
}

/* A comparison with NaN is false: it is never believed. */
static int is_believable(const safety_reading *reading) {
  int joint;
  for (joint = 0; joint < SAFETY_JOINTS; joint++) {
    const double position = reading->position[joint];
    if (!(position >= SAFETY_RANGE_LOWER[joint] - SAFETY_READING_MARGIN &&
          position <= SAFETY_RANGE_UPPER[joint] + SAFETY_READING_MARGIN &&
          fabs(reading->velocity[joint]) <= SAFETY_READING_SPEED[joint]))
      return 0;
  }
  return fabs(reading->upright) <= UPRIGHT_SLACK && reading->height <= SAFETY_GREATEST_HEIGHT;
}

static void take_reading(safety_state *state, const safety_reading *reading) {
  int joint;
  if (reading->stamp > state->reading_stamp && reading->stamp <= state->now + SAFETY_TICK &&
      is_believable(reading)) {
    state->reading_stamp = reading->stamp;
    state->upright = reading->upright;
    state->height = reading->height;
    for (joint = 0; joint < SAFETY_JOINTS; joint++) {
      state->position[joint] = reading->position[joint];
      state->velocity[joint] = reading->velocity[joint];
    }
  }
  if (state->now - state->reading_stamp > FRESH_TICKS * SAFETY_TICK) state->held += 1.0;
}

/* Returns whether the command is refused. */
static int take_command(safety_state *state, const safety_command *command) {
  int joint;
  if (!is_finite(command->stamp)) return 1;
  for (joint = 0; joint < SAFETY_JOINTS; joint++)
    if (!is_finite(command->target[joint])) return 1;
  if (command->stamp >= state->command_stamp && command->stamp <= state->now + SAFETY_TICK) {
    state->command_stamp = command->stamp;
    state->engaged = command->engaged != 0;
    for (joint = 0; joint < SAFETY_JOINTS; joint++)
      state->wanted[joint] =
          clip(command->target[joint], SAFETY_LOWER[joint], SAFETY_UPPER[joint]);
  }
  return 0;
}

static int find_fault(const safety_state *state, int clock_broke, int is_refused) {
  const double age = state->now - state->reading_stamp;
  if (clock_broke) return SAFETY_CLOCK;
  if (is_refused) return SAFETY_NOT_FINITE;
  if (age > SAFETY_STALE_SECONDS && (state->reading_stamp > NEVER || state->engaged))
    return SAFETY_STALE_STATE;
  if (state->engaged) {
    if (state->now - state->command_stamp > SAFETY_COMMAND_SECONDS) return SAFETY_STALE_POLICY;
    if (state->upright < SAFETY_LEAST_UPRIGHT) return SAFETY_TILT;
    if (state->height < SAFETY_LEAST_HEIGHT) return SAFETY_HEIGHT;
    if (state->misses > SAFETY_MISS_LIMIT) return SAFETY_DEADLINES;
  } else if (state->mode == SAFETY_RUN) {
    return SAFETY_STOPPED;
  }
  return SAFETY_NONE;
}

static void judge(safety_state *state, int clock_broke, int is_refused, int late, int reset) {
  int found;
  if (late)
    state->misses = lesser(state->misses + 1.0, SAFETY_MISS_LIMIT + 1.0);
  else
    state->misses = greater(state->misses - SAFETY_MISS_LEAK, 0.0);
  found = find_fault(state, clock_broke, is_refused);
  if (reset && found == SAFETY_NONE && !state->engaged &&
      state->now - state->reading_stamp <= FRESH_TICKS * SAFETY_TICK)
    state->reason = SAFETY_NONE;
  if (state->reason == SAFETY_NONE) state->reason = found;
  if (state->reason != SAFETY_NONE)
    state->mode = SAFETY_DAMP;
  else
    state->mode = state->engaged ? SAFETY_RUN : SAFETY_IDLE;
}

/* Whether positions matter in this mode. */
static int drives(int mode) {
  return mode == SAFETY_RUN || (SAFETY_BRAKES && mode == SAFETY_DAMP);
}

/* The greatest speed of this tick after which a joint can still stop within `room`. */
static double brake(int joint, double room) {
  const double stretches = room / SAFETY_STRETCH[joint];
  const double steps = (double)(long)(0.5 * (sqrt(8.0 * stretches + 1.0) - 1.0));
  return SAFETY_SPEED_STEP[joint] * (0.5 * steps + stretches / (steps + 1.0));
}

static void track_joint(safety_state *state, int joint, int goes_on) {
  const int runs = state->mode == SAFETY_RUN;
  const double fastest = SAFETY_SPEED[joint], step = SAFETY_SPEED_STEP[joint];
  double last_goal, last_velocity, speed, place, goal, velocity, lower, upper, away, towards;
  double up, down, asked;
  int keeps, tick;
  if (!goes_on) {
    const double here =
        clip(state->position[joint], SAFETY_RANGE_LOWER[joint], SAFETY_RANGE_UPPER[joint]);
    for (tick = 0; tick < SAFETY_WINDOW; tick++) state->track[tick][joint] = here;
    state->goal[joint] = here;
    state->goal_velocity[joint] = state->speed[joint] = 0.0;
  }
  place = state->track[0][joint];
  speed = state->speed[joint];
  last_goal = state->goal[joint];
  last_velocity = state->goal_velocity[joint];

  goal = runs ? state->wanted[joint] : place;
  velocity = runs ? (goal - last_goal) / SAFETY_TICK : 0.0;
  keeps = runs && fabs(velocity) <= fastest * SAME && fabs(velocity - last_velocity) <= step * SAME;
  lower = lesser(SAFETY_LOWER[joint], place);
  upper = greater(SAFETY_UPPER[joint], place);
  away = (keeps ? last_goal : goal) - place;
  towards = brake(joint, fabs(away));
  up = brake(joint, upper - place);
  down = brake(joint, place - lower);

  asked = (keeps ? velocity : 0.0) + (away < 0.0 ? -towards : towards);
  asked = lesser(asked, lesser(lesser(speed + step, fastest), up));
  speed = greater(asked, greater(greater(speed - step, -fastest), -down)) + 0.0;
  for (tick = SAFETY_WINDOW - 1; tick > 0; tick--)
    state->track[tick][joint] = state->track[tick - 1][joint];
  state->track[0][joint] = clip(place + speed * SAFETY_TICK, lower, upper);
  state->goal[joint] = goal;
  state->goal_velocity[joint] = velocity;
  state->speed[joint] = speed;
}

static void write_joint(const safety_state *state, int joint, safety_output *output) {
  double total = state->track[0][joint], stiffness = 0.0, damping = 0.0, torque, share;
  int tick;
  for (tick = 1; tick < SAFETY_WINDOW; tick++) total += state->track[tick][joint];
  output->position[joint] = total / SAFETY_WINDOW;
  if (state->mode == SAFETY_RUN) {
    stiffness = SAFETY_STIFFNESS[joint];
    damping = SAFETY_DAMPING[joint];
  } else if (state->mode == SAFETY_DAMP) {
    damping = SAFETY_DAMP_DAMPING[joint];
  }
  torque = fabs(stiffness * (output->position[joint] - state->position[joint]) -
                damping * state->velocity[joint]);
  share = lesser(SAFETY_TORQUE[joint] / greater(torque, NO_TORQUE), 1.0);
  output->stiffness[joint] = stiffness * share;
  output->damping[joint] = damping * share;
}

void safety_step(safety_state *state, double now, const safety_reading *reading,
                 const safety_command *command, int late, int reset, safety_output *output) {
  const int before = state->mode;
  const int clock_broke = tell_time(state, now);
  int is_refused, goes_on, joint;
  take_reading(state, reading);
  is_refused = take_command(state, command);
  judge(state, clock_broke, is_refused, late, reset);
  goes_on = drives(before) && drives(state->mode);
  output->mode = state->mode;
  output->reason = state->reason;
  for (joint = 0; joint < SAFETY_JOINTS; joint++) {
    track_joint(state, joint, goes_on);
    write_joint(state, joint, output);
  }
}

void safety_target_of(const float action[SAFETY_ACTIONS], double target[SAFETY_JOINTS]) {
  int index, finite = 1;
  for (index = 0; index < SAFETY_ACTIONS; index++) finite = finite && is_finite(action[index]);
  for (index = 0; index < SAFETY_JOINTS; index++)
    target[index] = finite ? SAFETY_DEFAULT_POSE[index] : NAN;
  for (index = 0; finite && index < SAFETY_ACTIONS; index++) {
    const double clipped =
        lesser(greater((double)action[index], -SAFETY_ACTION_LIMIT), SAFETY_ACTION_LIMIT);
    target[SAFETY_CONTROLLED[index]] =
        SAFETY_ACTION_OFFSET[index] + SAFETY_ACTION_SCALE[index] * clipped;
  }
}

const char *safety_reason_name(int reason) {
  static const char *const names[] = {"none", "clock",  "not finite", "stale state", "stale policy",
                                      "tilt", "height", "deadlines",  "stopped"};
  return reason >= 0 && reason <= SAFETY_STOPPED ? names[reason] : "unknown";
}
