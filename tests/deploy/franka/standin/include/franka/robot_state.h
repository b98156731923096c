// A stand-in for libfranka's robot state, of those fields that the controller may read.
#pragma once

#include <array>

#include <franka/duration.h>

namespace franka {

enum class RobotMode {
  kOther,
  kIdle,
  kMove,
  kGuiding,
  kReflex,
  kUserStopped,
  kAutomaticErrorRecovery
};

struct RobotState {
  std::array<double, 7> q{};
  std::array<double, 7> dq{};
  std::array<double, 7> q_d{};
  std::array<double, 7> dq_d{};
  std::array<double, 7> ddq_d{};
  double control_command_success_rate{};
  RobotMode robot_mode = RobotMode::kUserStopped;
  Duration time{};
};

}  // namespace franka
