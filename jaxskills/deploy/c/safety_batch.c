/* Steps many filters of the safety.c that it is compiled with, so that it can be compared.
 *
 * `inputs` has a row for each filter: now; stamp, position, velocity, upright and height of the
 * reading; stamp, target and engaged of the command; late; reset. `outputs` has one too: mode,
 * reason, position, stiffness, damping. All are doubles. The memory of the states is the caller's.
 */
#include "safety.h"

enum { INPUTS = 8 + 3 * SAFETY_JOINTS, OUTPUTS = 2 + 3 * SAFETY_JOINTS };

static const double *read(const double *from, double *to) {
  for (int joint = 0; joint < SAFETY_JOINTS; joint++) to[joint] = from[joint];
  return from + SAFETY_JOINTS;
}

static double *write(const double *from, double *to) {
  for (int joint = 0; joint < SAFETY_JOINTS; joint++) to[joint] = from[joint];
  return to + SAFETY_JOINTS;
}

long safety_batch_bytes(void) { return (long)sizeof(safety_state); }

void safety_batch_start(safety_state *states, long filters) {
  for (long filter = 0; filter < filters; filter++) safety_start(&states[filter]);
}

void safety_batch_step(safety_state *states, long filters, const double *inputs,
                       double *outputs) {
  for (long filter = 0; filter < filters; filter++) {
    const double *in = inputs + filter * INPUTS;
    double *out = outputs + filter * OUTPUTS;
    const double now = *in++;
    safety_reading reading;
    safety_command command;
    safety_output output;
    reading.stamp = *in++;
    in = read(in, reading.position);
    in = read(in, reading.velocity);
    reading.upright = *in++;
    reading.height = *in++;
    command.stamp = *in++;
    in = read(in, command.target);
    command.engaged = in[0] != 0.0;
    safety_step(&states[filter], now, &reading, &command, in[1] != 0.0, in[2] != 0.0, &output);
    *out++ = output.mode;
    *out++ = output.reason;
    out = write(output.position, out);
    out = write(output.stiffness, out);
    write(output.damping, out);
  }
}
