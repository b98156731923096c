/* Times safety_step of the safety.c that it is compiled with: seconds of each of `calls` calls.
 *
 * A robot at its default pose whose targets step at random every 20 ms, read anew in every tick;
 * it engages at once. Returns a sum of what came out, so that nothing is left out, or NAN if the
 * filter is not in RUN at the end: then something else was timed.
 */
#define _POSIX_C_SOURCE 199309L
#include <time.h>

#include "safety.h"

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double safety_latency(long calls, double *spent) {
  const long hold = (long)(0.02 / SAFETY_TICK + 0.5);
  unsigned long drawn = 1;
  safety_state state;
  safety_reading reading;
  safety_command command;
  safety_output output;
  double sum = 0.0;
  safety_start(&state);
  reading.upright = 1.0;
  reading.height = SAFETY_LEAST_HEIGHT > 0.0 ? 2.0 * SAFETY_LEAST_HEIGHT : 1.0;
  command.engaged = 1;
  for (long call = 0; call < calls; call++) {
    const double now = (double)call * SAFETY_TICK;
    double began;
    for (int joint = 0; joint < SAFETY_JOINTS; joint++) {
      drawn = (drawn * 1103515245UL + 12345UL) & 0x7fffffffUL;
      if (call % hold == 0)
        command.target[joint] = SAFETY_DEFAULT_POSE[joint] + 0.6 * ((double)drawn / 2147483648.0 - 0.5);
      reading.position[joint] = SAFETY_DEFAULT_POSE[joint];
      reading.velocity[joint] = (double)drawn / 2147483648.0 - 0.5;
    }
    reading.stamp = command.stamp = now;
    began = seconds();
    safety_step(&state, now, &reading, &command, 0, 0, &output);
    spent[call] = seconds() - began;
    sum += output.position[0] + output.stiffness[SAFETY_JOINTS - 1];
  }
  return state.mode == SAFETY_RUN ? sum : NAN;
}
