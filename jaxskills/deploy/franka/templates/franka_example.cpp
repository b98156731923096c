// Moves a Panda's gripper to one place after the other with the policy of this bundle.
//
//   c++ -std=c++17 -O2 -ffp-contract=off franka_example.cpp policy.c safety.c franka_motion.c
//       -lfranka -pthread        (C files with a C compiler; `jaxskills run franka` does it all)
//   franka_example --ip=ADDRESS --bundle=DIR --target=x,y,z [--target=...] [--dwell=4]
//       [--seconds=20] [--log=FILE] [--recover] [--no-realtime]
//
// Exit code 0: done. 2: refused, nothing moved. 3: the robot's reflex or the network ended it.
// 4: the safety filter braked and held. A program that was compiled by hand compares the names of
// its policy and parts with the bundle's; only `jaxskills run franka` hashes every file.
#include <franka/exception.h>
#include <franka/robot.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <string>

#include "franka_policy.hpp"

namespace {

volatile std::sig_atomic_t interrupted = 0;
void interrupt(int) { interrupted = 1; }

struct Options {
  std::string ip, bundle, log;
  double seconds = 20.0;
  bool recover = false, realtime = true;
  jaxskills::Targets targets;
};

Options parse(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i], key = word.substr(0, word.find('='));
    const std::string value = word.size() > key.size() ? word.substr(key.size() + 1) : "";
    if (key == "--ip") options.ip = value;
    else if (key == "--bundle") options.bundle = value;
    else if (key == "--log") options.log = value;
    else if (key == "--seconds") options.seconds = std::atof(value.c_str());
    else if (key == "--dwell") options.targets.dwell_seconds = std::atof(value.c_str());
    else if (key == "--recover") options.recover = true;
    else if (key == "--no-realtime") options.realtime = false;
    else if (key == "--target") {
      jaxskills::Place place;
      if (std::sscanf(value.c_str(), "%lf,%lf,%lf", &place[0], &place[1], &place[2]) != 3)
        throw std::runtime_error("--target is x,y,z in m, not " + value);
      options.targets.places.push_back(place);
    } else throw std::runtime_error("unknown argument " + word);
  }
  if (options.ip.empty() || options.bundle.empty() || options.targets.places.empty())
    throw std::runtime_error("--ip, --bundle and --target are needed");
  return options;
}

// What the arm may push with before the robot stops by itself: 20 N m or N, 40 while speeding up.
void set_collision_behavior(franka::Robot& robot) {
  std::array<double, 7> fast, torque;
  std::array<double, 6> fast_force, force;
  fast.fill(40.0), torque.fill(20.0), fast_force.fill(40.0), force.fill(20.0);
  robot.setCollisionBehavior(fast, fast, torque, torque, fast_force, fast_force, force, force);
}

int move(const Options& options) {
  const auto realtime =
      options.realtime ? franka::RealtimeConfig::kEnforce : franka::RealtimeConfig::kIgnore;
  franka::Robot robot(options.ip, realtime);
  if (options.recover) robot.automaticErrorRecovery();
  set_collision_behavior(robot);
  robot.setJointImpedance({{3000, 3000, 3000, 2500, 2500, 2000, 2000}});  // libfranka's examples'

  jaxskills::Controller controller(options.targets, options.log);
  const auto last = static_cast<uint64_t>(1000.0 * options.seconds);
  const std::function<franka::JointPositions(const franka::RobotState&, franka::Duration)> callback =
      [&](const franka::RobotState& state, franka::Duration period) {
        if (interrupted != 0 || controller.ticks() >= last) controller.stop();
        const jaxskills::RobotView view{period.toMSec(), state.time.toMSec(), state.q,
                                        state.dq,        state.q_d,           state.dq_d,
                                        state.ddq_d};
        const franka::JointPositions command(controller.tick(view));
        return controller.is_finished() ? franka::MotionFinished(command) : command;
      };
  // The commands are limited already; libfranka's own limiter and low-pass would only be late.
  robot.control(callback, franka::ControllerMode::kJointImpedance, false,
                franka::kMaxCutoffFrequency);
  std::printf("ticks %llu, slowest callback %.0f us\n",
              static_cast<unsigned long long>(controller.ticks()),
              1e-3 * static_cast<double>(controller.slowest_nanoseconds()));
  if (controller.mode() != SAFETY_DAMP) return 0;
  std::fprintf(stderr, "jaxskills: the safety filter braked: %s\n",
               safety_reason_name(controller.reason()));
  return 4;
}

}  // namespace

int main(int count, char** words) {
  try {
    const Options options = parse(count, words);
    jaxskills::require_verification(options.bundle);
    std::signal(SIGINT, interrupt);
    std::signal(SIGTERM, interrupt);
    return move(options);
  } catch (const franka::ControlException& error) {
    std::fprintf(stderr, "jaxskills: %s; see that nothing is in the way, then run with --recover.\n",
                 error.what());
    return 3;
  } catch (const franka::NetworkException& error) {
    std::fprintf(stderr, "jaxskills: %s\n", error.what());
    return 3;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "jaxskills: %s\n", error.what());
    return 2;
  }
}
