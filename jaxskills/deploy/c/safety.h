/* The safety filter: the last thing between a policy and the motors, in every tick.
 *
 * The same as jaxskills.deploy.safety, to the bit where products are not fused
 * (-ffp-contract=off); that file says what is limited and why. C99, no allocation, no library but
 * sqrt and fabs. Each filter is a struct of its caller's: one thread at a time.
 *
 *   safety_state state;
 *   safety_start(&state);
 *   for (;;) {
 *     safety_step(&state, now, &reading, &command, late, reset, &output);
 *     send(&output);
 *   }
 */
#ifndef SAFETY_H
#define SAFETY_H

#include "safety_limits.h"

#ifdef __cplusplus
extern "C" {
#endif

enum safety_mode { SAFETY_IDLE = 0, SAFETY_RUN = 1, SAFETY_DAMP = 2 };

enum safety_reason {
  SAFETY_NONE = 0,
  SAFETY_CLOCK = 1,
  SAFETY_NOT_FINITE = 2,
  SAFETY_STALE_STATE = 3,
  SAFETY_STALE_POLICY = 4,
  SAFETY_TILT = 5,
  SAFETY_HEIGHT = 6,
  SAFETY_DEADLINES = 7,
  SAFETY_STOPPED = 8
};

/* What the robot measured. For an arm: upright 1, height HUGE_VAL. */
typedef struct {
  double stamp;                   /* s, of the clock that `now` is of */
  double position[SAFETY_JOINTS]; /* rad */
  double velocity[SAFETY_JOINTS]; /* rad/s */
  double upright;                 /* cosine of the base's tilt */
  double height;                  /* of the base over the lower sole, m */
} safety_reading;

/* What is asked for; the last one again, with its own stamp, until there is a new one. */
typedef struct {
  double stamp;                 /* s, when it was decided */
  double target[SAFETY_JOINTS]; /* rad; finite, engaged or not */
  int engaged;                  /* whether the robot shall move to it */
} safety_command;

/* What is sent; targets of velocity and feed-forward torques are zero. */
typedef struct {
  int mode;
  int reason; /* what latched DAMP, else 0 */
  double position[SAFETY_JOINTS];
  double stiffness[SAFETY_JOINTS]; /* N m/rad */
  double damping[SAFETY_JOINTS];   /* N m s/rad */
} safety_output;

/* All that the filter remembers: its own business. */
typedef struct {
  double now, reading_stamp, upright, height, command_stamp, misses, held;
  int engaged, mode, reason;
  double position[SAFETY_JOINTS], velocity[SAFETY_JOINTS], wanted[SAFETY_JOINTS];
  double goal[SAFETY_JOINTS], goal_velocity[SAFETY_JOINTS], speed[SAFETY_JOINTS];
  double track[SAFETY_WINDOW][SAFETY_JOINTS]; /* newest first */
} safety_state;

/* Nothing read, nobody engaged. */
void safety_start(safety_state *state);

/* One tick. `late`: it came after its deadline. `reset`: the operator asks to let the latch go. */
void safety_step(safety_state *state, double now, const safety_reading *reading,
                 const safety_command *command, int late, int reset, safety_output *output);

/* Joint targets of a policy's action; NaN everywhere if the action is not finite. */
void safety_target_of(const float action[SAFETY_ACTIONS], double target[SAFETY_JOINTS]);

/* The name of a reason, for a log. */
const char *safety_reason_name(int reason);

#ifdef __cplusplus
}
#endif

#endif
