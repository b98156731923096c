// A stand-in for libfranka's Robot: the same interface, spoken over UDP to a simulated Panda
// (`jaxskills simulate franka`). The address may name a port: "127.0.0.1:45211".
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include <franka/control_types.h>
#include <franka/duration.h>
#include <franka/lowpass_filter.h>
#include <franka/robot_state.h>

namespace franka {

class Robot {
 public:
  explicit Robot(const std::string& franka_address,
                 RealtimeConfig realtime_config = RealtimeConfig::kEnforce, size_t log_size = 50);
  ~Robot() noexcept;

  void control(std::function<JointPositions(const RobotState&, Duration)> motion_generator_callback,
               ControllerMode controller_mode = ControllerMode::kJointImpedance,
               bool limit_rate = false, double cutoff_frequency = kDefaultCutoffFrequency);

  RobotState readOnce();
  void automaticErrorRecovery();
  void stop();
  void setJointImpedance(const std::array<double, 7>& K_theta);
  void setCollisionBehavior(const std::array<double, 7>& lower_torque_thresholds_acceleration,
                            const std::array<double, 7>& upper_torque_thresholds_acceleration,
                            const std::array<double, 7>& lower_torque_thresholds_nominal,
                            const std::array<double, 7>& upper_torque_thresholds_nominal,
                            const std::array<double, 6>& lower_force_thresholds_acceleration,
                            const std::array<double, 6>& upper_force_thresholds_acceleration,
                            const std::array<double, 6>& lower_force_thresholds_nominal,
                            const std::array<double, 6>& upper_force_thresholds_nominal);

 private:
  class Connection;
  std::unique_ptr<Connection> connection_;
};

}  // namespace franka
