/* Times policy_step of the policy.c that it is compiled with: `calls` calls on one thread, one row
 * of `observations` after the other, nanoseconds of each in `spent`. A recurrent policy goes on from
 * the state that it left; the state begins at zeros. The result is read, so nothing is left out.
 */
#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "policy.h"

static int64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

float policy_latency(const float *observations, long rows, long calls, int64_t *spent) {
  float action[POLICY_ACTION], sum = 0.0f;
#if POLICY_STATE
  float before[POLICY_STATE], after[POLICY_STATE];
  memset(before, 0, sizeof before);
#endif
  for (long call = 0; call < calls; ++call) {
    const float *observation = observations + (call % rows) * POLICY_OBSERVATION;
    int64_t began = nanoseconds();
#if POLICY_STATE
    policy_step(observation, before, action, after);
#else
    policy_step(observation, action);
#endif
    spent[call] = nanoseconds() - began;
#if POLICY_STATE
    memcpy(before, after, sizeof before);
#endif
    sum += action[0];
  }
  return sum;
}
