/* From a policy's actions to a smooth stream of joint positions at a kilohertz, and what the policy
 * sees of it. C99, no allocation; the constants are the bundle's (franka_constants.h). An action
 * means a velocity that changes evenly over one control period, as in training; a moving average
 * over FRANKA_SMOOTHING ticks then bounds the jerk. The safety filter comes after this. */
#ifndef JAXSKILLS_FRANKA_MOTION_H
#define JAXSKILLS_FRANKA_MOTION_H

#include "franka_constants.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the joints are told: `position` (rad) when the command began, velocities (rad/s) at its
 * beginning and end, how many ticks of it are over, and the latest places before the average. */
typedef struct {
  double position[FRANKA_JOINTS];
  double begin[FRANKA_JOINTS];
  double end[FRANKA_JOINTS];
  int ticks;
  float action[FRANKA_JOINTS];
  double recent[FRANKA_SMOOTHING][FRANKA_JOINTS];
  int oldest;
} franka_motion;

/* What a policy looks at: measured joints (rad, rad/s), where the command of the moment ends and
 * how fast it is then, the action that it came from, and where the gripper shall be (m, world). */
typedef struct {
  double joint_position[FRANKA_JOINTS];
  double joint_velocity[FRANKA_JOINTS];
  double joint_target[FRANKA_JOINTS];
  double commanded_velocity[FRANKA_JOINTS];
  float action[FRANKA_JOINTS];
  double target[3];
} franka_sight;

/* Rest at `pose`, rad. */
void franka_motion_begin(franka_motion *motion, const double *pose);

/* Begins the command that an action means, from where the motion is and as fast as it is.
 * `measured`: joints when the policy looked, rad. The action must be finite; it is clipped to +-1. */
void franka_motion_follow(franka_motion *motion, const float *action, const double *measured);

/* One tick further; `target`: what the joints shall be told, rad. A command that is over without
 * another one is followed by braking: an action of zero. */
void franka_motion_tick(franka_motion *motion, double *target);

/* What a policy sees now. */
void franka_motion_look(const franka_motion *motion, const double *joint_position,
                        const double *joint_velocity, const double *target, franka_sight *sight);

/* The policy's input, FRANKA_OBSERVATION floats, in the order and scale of the bundle. */
void franka_observe(const franka_sight *sight, float *observation);

/* Place of the gripper (m, world) with the joints at `angles`, rad. */
void franka_gripper(const double *angles, double *place);

#ifdef __cplusplus
}
#endif
#endif
