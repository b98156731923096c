/* See franka_motion.h. Twin of motion.py, operation by operation, so that both give the same bits;
 * compile with -ffp-contract=off. */
#include "franka_motion.h"

#include <math.h>
#include <string.h>

static const double LOWER[FRANKA_JOINTS] = FRANKA_LOWER;
static const double UPPER[FRANKA_JOINTS] = FRANKA_UPPER;
static const double SPEED[FRANKA_JOINTS] = FRANKA_SPEED;
static const double ACCELERATION[FRANKA_JOINTS] = FRANKA_ACCELERATION;
static const double DEFAULT_POSE[FRANKA_JOINTS] = FRANKA_DEFAULT_POSE;
static const double OFFSETS[FRANKA_JOINTS + 1][3] = FRANKA_OFFSETS;
static const double ROTATIONS[FRANKA_JOINTS + 1][3][3] = FRANKA_ROTATIONS;
static const int TERMS[FRANKA_TERMS] = FRANKA_TERM_KINDS;
static const double SCALE[FRANKA_OBSERVATION] = FRANKA_SCALE;

static double least(double a, double b) { return a < b ? a : b; }
static double most(double a, double b) { return a > b ? a : b; }
static double within(double value, double low, double high) {
  return least(most(value, low), high);
}

/* Where joint `j` is and how fast, `share` of a control period after its command began. */
static double place_at(const franka_motion *motion, int j, double share) {
  const double change = motion->end[j] - motion->begin[j];
  const double moved = FRANKA_PERIOD * share * (motion->begin[j] + 0.5 * share * change);
  return within(motion->position[j] + moved, LOWER[j], UPPER[j]);
}

static double velocity_at(const franka_motion *motion, int j, double share) {
  return motion->begin[j] + share * (motion->end[j] - motion->begin[j]);
}

/* The greatest velocity at the end of a control period from which joint `j` stops within `room`. */
static double brake(int j, double room) {
  const double gain = FRANKA_PERIOD * ACCELERATION[j];
  return sqrt(most(gain * gain + 2.0 * ACCELERATION[j] * room, 0.0)) - gain;
}

void franka_motion_begin(franka_motion *motion, const double *pose) {
  int j, n;
  memset(motion, 0, sizeof *motion);
  for (j = 0; j < FRANKA_JOINTS; j++) motion->position[j] = pose[j];
  for (n = 0; n < FRANKA_SMOOTHING; n++) memcpy(motion->recent[n], pose, sizeof motion->recent[n]);
  motion->ticks = FRANKA_PERIOD_TICKS;
}

void franka_motion_follow(franka_motion *motion, const float *action, const double *measured) {
  const double share = (double)motion->ticks / FRANKA_PERIOD_TICKS;
  int j;
  for (j = 0; j < FRANKA_JOINTS; j++) {
    const double place = place_at(motion, j, share), velocity = velocity_at(motion, j, share);
    const double low = most(LOWER[j], measured[j] - FRANKA_LEASH);
    const double high = least(UPPER[j], measured[j] + FRANKA_LEASH);
    const double change = FRANKA_PERIOD * ACCELERATION[j], travelled = 0.5 * FRANKA_PERIOD * velocity;
    const double asked = within((double)action[j], -1.0, 1.0);
    double wanted = SPEED[j] * asked;
    wanted = least(wanted, brake(j, high - place - travelled));
    wanted = most(wanted, -brake(j, place + travelled - low));
    motion->position[j] = place;
    motion->begin[j] = velocity;
    motion->end[j] = velocity + within(wanted - velocity, -change, change);
    motion->action[j] = (float)asked;
  }
  motion->ticks = 0;
}

void franka_motion_tick(franka_motion *motion, double *target) {
  double share;
  int j, n;
  if (motion->ticks >= FRANKA_PERIOD_TICKS) {
    static const float nothing[FRANKA_JOINTS];
    double here[FRANKA_JOINTS];
    for (j = 0; j < FRANKA_JOINTS; j++) here[j] = place_at(motion, j, 1.0);
    franka_motion_follow(motion, nothing, here);
  }
  motion->ticks += 1;
  share = (double)motion->ticks / FRANKA_PERIOD_TICKS;
  for (j = 0; j < FRANKA_JOINTS; j++) motion->recent[motion->oldest][j] = place_at(motion, j, share);
  motion->oldest = (motion->oldest + 1) % FRANKA_SMOOTHING;
  for (j = 0; j < FRANKA_JOINTS; j++) {
    double sum = motion->recent[0][j];
    for (n = 1; n < FRANKA_SMOOTHING; n++) sum += motion->recent[n][j];
    target[j] = sum / FRANKA_SMOOTHING;
  }
}

void franka_motion_look(const franka_motion *motion, const double *joint_position,
                        const double *joint_velocity, const double *target, franka_sight *sight) {
  int j;
  for (j = 0; j < FRANKA_JOINTS; j++) {
    sight->joint_position[j] = joint_position[j];
    sight->joint_velocity[j] = joint_velocity[j];
    sight->joint_target[j] = place_at(motion, j, 1.0);
    sight->commanded_velocity[j] = motion->end[j];
    sight->action[j] = motion->action[j];
  }
  for (j = 0; j < 3; j++) sight->target[j] = target[j];
}

void franka_observe(const franka_sight *sight, float *observation) {
  int term, count, i, at = 0;
  for (term = 0; term < FRANKA_TERMS; term++) {
    double value[FRANKA_JOINTS] = {0.0};
    count = TERMS[term] == FRANKA_GRIPPER_POSITION || TERMS[term] == FRANKA_TARGET
                ? 3 : FRANKA_JOINTS;
    if (TERMS[term] == FRANKA_GRIPPER_POSITION) franka_gripper(sight->joint_position, value);
    for (i = 0; i < count; i++) {
      switch (TERMS[term]) {
        case FRANKA_JOINT_POSITION: value[i] = sight->joint_position[i] - DEFAULT_POSE[i]; break;
        case FRANKA_JOINT_VELOCITY: value[i] = sight->joint_velocity[i]; break;
        case FRANKA_COMMANDED_VELOCITY: value[i] = sight->commanded_velocity[i]; break;
        case FRANKA_JOINT_TARGET: value[i] = sight->joint_target[i] - DEFAULT_POSE[i]; break;
        case FRANKA_LAST_ACTION: value[i] = (double)sight->action[i]; break;
        case FRANKA_TARGET: value[i] = sight->target[i]; break;
        default: break;
      }
      observation[at] = (float)(SCALE[at] * value[i]);
      at++;
    }
  }
}

void franka_gripper(const double *angles, double *place) {
  double axes[3][3] = {{1.0, 0.0, 0.0}, {0.0, 1.0, 0.0}, {0.0, 0.0, 1.0}}; /* columns of the frame */
  int link, i, k;
  place[0] = place[1] = place[2] = 0.0;
  for (link = 0; link <= FRANKA_JOINTS; link++) {
    double turned[3][3];
    for (i = 0; i < 3; i++) {
      for (k = 0; k < 3; k++) place[i] += axes[k][i] * OFFSETS[link][k];
      for (k = 0; k < 3; k++)
        turned[k][i] = axes[0][i] * ROTATIONS[link][0][k] + axes[1][i] * ROTATIONS[link][1][k] +
                       axes[2][i] * ROTATIONS[link][2][k];
    }
    memcpy(axes, turned, sizeof axes);
    if (link < FRANKA_JOINTS) {
      const double cosine = cos(angles[link]), sine = sin(angles[link]);
      for (i = 0; i < 3; i++) {
        const double x = axes[0][i], y = axes[1][i];
        axes[0][i] = cosine * x + sine * y;
        axes[1][i] = cosine * y - sine * x;
      }
    }
  }
}
