// A stand-in for what libfranka's callbacks return: the same interface, ours inside.
#pragma once

#include <array>

namespace franka {

enum class ControllerMode { kJointImpedance, kCartesianImpedance };
enum class RealtimeConfig { kEnforce, kIgnore };

struct Finishable {
  bool motion_finished = false;
};

class JointPositions : public Finishable {
 public:
  JointPositions(const std::array<double, 7>& joint_positions) noexcept : q(joint_positions) {}
  std::array<double, 7> q{};
};

inline JointPositions MotionFinished(JointPositions command) noexcept {
  command.motion_finished = true;
  return command;
}

}  // namespace franka
