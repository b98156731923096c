// A policy of a jaxskills bundle for libfranka's joint position callback. C++17, no allocation and
// no inference in the callback: the policy has a thread of its own, the callback samples a smooth
// motion and asks the safety filter. It needs of libfranka nothing but what it is handed;
// franka_example.cpp shows how. Compile everything with -ffp-contract=off, so that the replay of a
// log gives the same bits (`jaxskills run franka --replay`).
//
// What a callback does is that of `jaxskills.deploy.franka.controller`, operation by operation.
#pragma once

#include <time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

extern "C" {
#include "franka_motion.h"
#include "policy.h"
#include "safety.h"
}

namespace jaxskills {

static_assert(POLICY_OBSERVATION == FRANKA_OBSERVATION, "policy.c is of another bundle");
static_assert(POLICY_ACTION == FRANKA_JOINTS, "the policy does not move the arm's joints");
static_assert(SAFETY_JOINTS == FRANKA_JOINTS, "safety.c is of another robot");

using Joints = std::array<double, FRANKA_JOINTS>;
using Place = std::array<double, 3>;

// What libfranka's callback is given: q, dq, q_d, dq_d and ddq_d of the robot's state.
struct RobotView {
  uint64_t period = 0;        // ms since the last callback, 0 at the first
  uint64_t milliseconds = 0;  // of the robot's clock
  Joints q{}, dq{}, q_d{}, dq_d{}, ddq_d{};
};

// Everything that a callback got and gave, as the log has it; 8 bytes a number, no padding.
struct Record {
  uint64_t index, period, milliseconds, flags;
  double now;  // s of this machine's monotonic clock, for the record only
  double joints[5][FRANKA_JOINTS];
  double target[3];
  double action[FRANKA_JOINTS], action_position[FRANKA_JOINTS];
  double told[FRANKA_JOINTS];
  uint64_t action_look;  // index of the callback whose look the action follows from
  int64_t mode, reason;
  uint64_t nanoseconds;            // that the callback took
  uint64_t processor_nanoseconds;  // of them, those in which it was not kept from running
};
static_assert(sizeof(Record) == 8 * 69, "records are read by their layout");
constexpr uint64_t kHasAction = 1, kIsStopping = 2, kIsLate = 4, kIsFirst = 8;  // flags

// The newest of what one thread writes, for one other that reads; neither ever waits.
template <typename T>
class Mailbox {
 public:
  void put(const T& value) {
    slots_[back_] = value;
    back_ = middle_.exchange(back_ | kFresh, std::memory_order_acq_rel) & kSlot;
  }
  bool take(T* value) {
    if ((middle_.load(std::memory_order_relaxed) & kFresh) == 0) return false;
    front_ = middle_.exchange(front_, std::memory_order_acq_rel) & kSlot;
    *value = slots_[front_];
    return true;
  }
  bool is_waiting() const { return (middle_.load(std::memory_order_acquire) & kFresh) != 0; }

 private:
  static constexpr unsigned kFresh = 4, kSlot = 3;
  std::array<T, 3> slots_{};
  unsigned back_ = 0, front_ = 1;
  std::atomic<unsigned> middle_{2};
};

// Writes records to a file from a thread of its own. Where the disk is too slow for too long,
// records are missing, which their indices show.
class Log {
 public:
  explicit Log(const std::string& path) : ring_(kCapacity) {
    if (path.empty()) return;
    file_.open(path, std::ios::binary | std::ios::trunc);
    const uint64_t size = sizeof(Record);
    file_.write("JSFRANK1", 8);
    file_.write(reinterpret_cast<const char*>(&size), sizeof size);
    file_.write(FRANKA_PARAMETERS_SHA256, 64);
    if (!file_) throw std::runtime_error("cannot write " + path);
    writer_ = std::thread([this] { run(); });
  }
  ~Log() {
    is_over_ = true;
    if (writer_.joinable()) writer_.join();
  }
  void put(const Record& record) {
    const size_t head = head_.load(std::memory_order_relaxed);
    if (!writer_.joinable() || head - tail_.load(std::memory_order_acquire) >= kCapacity) return;
    ring_[head % kCapacity] = record;
    head_.store(head + 1, std::memory_order_release);
  }

 private:
  static constexpr size_t kCapacity = 8192;
  void run() {
    for (bool over = false; !over;) {
      over = is_over_.load();
      size_t tail = tail_.load(std::memory_order_relaxed);
      for (; tail != head_.load(std::memory_order_acquire); ++tail) {
        file_.write(reinterpret_cast<const char*>(&ring_[tail % kCapacity]), sizeof(Record));
        tail_.store(tail + 1, std::memory_order_release);
      }
      if (!over) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    file_.flush();
  }

  std::vector<Record> ring_;
  std::atomic<size_t> head_{0}, tail_{0};
  std::atomic<bool> is_over_{false};
  std::ofstream file_;
  std::thread writer_;
};

// The policy: looks when there is something new to see, and writes what it decides, once its last
// decision was taken: so the log has them all, and what a policy remembers can be done again.
class PolicyThread {
 public:
  struct Sight {
    franka_sight seen;
    uint64_t look;  // index of the callback
  };
  struct Decision {
    std::array<float, FRANKA_JOINTS> action{};
    Joints position{};
    uint64_t look = 0;
  };

  PolicyThread() : shared_(std::make_shared<Shared>()) {
    std::thread([shared = shared_] { run(*shared); }).detach();
  }
  // A policy that hangs is left behind, with what it may still touch; the program's end ends it.
  ~PolicyThread() {
    using Clock = std::chrono::steady_clock;
    shared_->is_over = true;
    const auto until = Clock::now() + kPatience;
    while (!shared_->has_ended && Clock::now() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  void show(const Sight& sight) { shared_->sights.put(sight); }
  bool decided(Decision* decision) { return shared_->decisions.take(decision); }

 private:
  static constexpr std::chrono::milliseconds kPatience{500};
  struct Shared {
    Mailbox<Sight> sights;
    Mailbox<Decision> decisions;
    std::atomic<bool> is_over{false}, has_ended{false};
  };

  static void run(Shared& shared) {
    Sight sight;
    std::array<float, POLICY_OBSERVATION> observation;
#if POLICY_STATE > 0
    std::array<float, POLICY_STATE> state{};
#endif
    while (!shared.is_over) {
      if (shared.decisions.is_waiting() || !shared.sights.take(&sight)) {
        std::this_thread::sleep_for(std::chrono::microseconds(250));
        continue;
      }
      Decision decision;
      franka_observe(&sight.seen, observation.data());
#if POLICY_STATE > 0
      policy_step(observation.data(), state.data(), decision.action.data(), state.data());
#else
      policy_step(observation.data(), decision.action.data());
#endif
      std::copy_n(sight.seen.joint_position, FRANKA_JOINTS, decision.position.begin());
      decision.look = sight.look;
      shared.decisions.put(decision);
    }
    shared.has_ended = true;
  }

  std::shared_ptr<Shared> shared_;
};

// What the calling thread has used of its processor; what else the machine does is not in it.
inline uint64_t processor_nanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

// Where the gripper shall be: one place after the other, and again from the first.
struct Targets {
  std::vector<Place> places;
  double dwell_seconds = 4.0;
  const Place& at(uint64_t tick) const {
    const auto length = std::max<uint64_t>(1, std::llround(1000.0 * dwell_seconds));
    return places[(tick / length) % places.size()];
  }
};

// One motion. Call `tick` in every callback and send what it returns; finish when `is_finished`.
class Controller {
 public:
  Controller(Targets targets, const std::string& log_path)
      : targets_(std::move(targets)), log_(log_path) {
    if (targets_.places.empty()) throw std::runtime_error("there is no target");
  }

  // The motion comes to rest from now on, and is then finished.
  void stop() { is_stopping_ = true; }
  bool is_finished() const { return is_stopping_ && quiet_ >= kQuietTicks; }
  uint64_t ticks() const { return ticks_; }
  int mode() const { return output_.mode; }
  int reason() const { return output_.reason; }
  uint64_t slowest_nanoseconds() const { return slowest_; }

  Joints tick(const RobotView& view) {
    const auto begun = std::chrono::steady_clock::now();
    const uint64_t used = processor_nanoseconds();
    Record record{};
    record.index = index_;
    record.period = view.period;
    record.milliseconds = view.milliseconds;
    record.now = std::chrono::duration<double>(begun.time_since_epoch()).count();
    const Joints* joints[5] = {&view.q, &view.dq, &view.q_d, &view.dq_d, &view.ddq_d};
    for (int row = 0; row < 5; ++row)
      std::copy(joints[row]->begin(), joints[row]->end(), record.joints[row]);
    const Place& target = targets_.at(ticks_);
    std::copy(target.begin(), target.end(), record.target);
    record.flags = (index_ == 0 ? kIsFirst : 0u) | (is_stopping_ ? kIsStopping : 0u) |
                   (is_late_ ? kIsLate : 0u);
    PolicyThread::Decision decision;
    if (policy_.decided(&decision)) {
      record.flags |= kHasAction;
      std::copy(decision.action.begin(), decision.action.end(), record.action);
      std::copy(decision.position.begin(), decision.position.end(), record.action_position);
      record.action_look = decision.look;
    }
    index_ == 0 ? begin(record) : go_on(record);
    look(record);
    std::copy(told_.begin(), told_.end(), record.told);
    record.mode = output_.mode;
    record.reason = output_.reason;
    ++index_;
    record.processor_nanoseconds = processor_nanoseconds() - used;
    const auto taken = std::chrono::steady_clock::now() - begun;
    record.nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(taken).count();
    is_late_ = record.nanoseconds > kTickNanoseconds;
    slowest_ = std::max(slowest_, record.nanoseconds);
    log_.put(record);
    return told_;
  }

 private:
  static constexpr double kSame = 1e-9, kQuiet = 1e-12;
  static constexpr int kQuietTicks = 20;
  static constexpr uint64_t kTickNanoseconds = 1000000;

  void begin(const Record& record) {
    const double* wanted = record.joints[2];
    franka_motion_begin(&motion_, wanted);
    safety_start(&filter_);
    filter(record, wanted, wanted, false, false);
    std::copy_n(wanted, FRANKA_JOINTS, told_.begin());
    milliseconds_ = record.milliseconds;
  }

  void go_on(const Record& record) {
    const bool is_fresh = record.milliseconds > milliseconds_;
    const bool is_stopping = (record.flags & kIsStopping) != 0;
    const uint64_t count = std::max<uint64_t>(record.period, 1);
    if (is_fresh) {
      milliseconds_ = record.milliseconds;
      reading_stamp_ = static_cast<double>(ticks_ + count) * SAFETY_TICK;
    }
    if ((record.flags & kHasAction) != 0) {
      is_pending_ = true;
      std::copy_n(record.action, FRANKA_JOINTS, action_.begin());
      std::copy_n(record.action_position, FRANKA_JOINTS, action_position_.begin());
    }
    if (is_stopping) is_pending_ = false;
    for (uint64_t i = 0; i < count; ++i) {
      double target[FRANKA_JOINTS];
      advance(is_stopping, target);
      if (i == count - 1 && is_fresh) resume_if_lost(record);
      const bool is_idle = output_.mode == SAFETY_IDLE;
      const double* here = is_idle ? record.joints[2] : record.joints[0];
      filter(record, here, target, true, (record.flags & kIsLate) != 0);
    }
    double moved = 0.0;
    for (int j = 0; j < FRANKA_JOINTS; ++j) {
      moved = std::max(moved, std::abs(output_.position[j] - told_[j]));
      told_[j] = output_.position[j];
    }
    quiet_ = moved <= kQuiet ? quiet_ + 1 : 0;
  }

  // A tick of the motion; an action begins if it is due. To stop takes no policy.
  void advance(bool is_stopping, double* target) {
    bool is_refused = false;
    ++ticks_;
    if (is_stopping) command_stamp_ = now();
    if (is_pending_ && ticks_ > due_) {
      for (const float value : action_) is_refused = is_refused || !std::isfinite(value);
      if (!is_refused) {
        franka_motion_follow(&motion_, action_.data(), action_position_.data());
        command_stamp_ = now();
      }
      is_pending_ = false;
    }
    franka_motion_tick(&motion_, target);
    if (is_refused) std::fill_n(target, FRANKA_JOINTS, std::nan(""));
  }

  // Where a packet was lost, the robot wants something else than it was told: go on from there.
  void resume_if_lost(const Record& record) {
    if (output_.mode == SAFETY_IDLE) return;
    double off = 0.0;
    for (int j = 0; j < FRANKA_JOINTS; ++j) {
      for (int row = 2; row < 5; ++row)
        if (!std::isfinite(record.joints[row][j])) return;
      off = std::max(off, std::abs(record.joints[2][j] - told_[j]));
    }
    if (off <= kSame) return;
    const double last = SAFETY_WINDOW - 1;
    for (int j = 0; j < FRANKA_JOINTS; ++j) {
      const double bend = record.joints[4][j] * SAFETY_TICK * SAFETY_TICK;
      const double pace = record.joints[3][j] * SAFETY_TICK + bend * (0.5 * last);
      const double newest =
          record.joints[2][j] + pace * (0.5 * last) - bend * (last * (last - 1) / 6.0);
      for (int i = 0; i < SAFETY_WINDOW; ++i) {
        const double back = i;
        filter_.track[i][j] = newest - (pace * back - bend * (0.5 * back * (back - 1)));
      }
      filter_.speed[j] = pace / SAFETY_TICK;
    }
  }

  // The filter's clock: the robot's ticks, whatever this machine's clock says.
  double now() const { return static_cast<double>(ticks_) * SAFETY_TICK; }

  void filter(const Record& record, const double* position, const double* target, bool is_engaged,
              bool is_late) {
    safety_reading reading{};
    safety_command command{};
    reading.stamp = reading_stamp_;
    reading.upright = 1.0;
    reading.height = HUGE_VAL;
    command.stamp = command_stamp_;
    command.engaged = is_engaged;
    for (int j = 0; j < FRANKA_JOINTS; ++j) {
      reading.position[j] = position[j];
      reading.velocity[j] = record.joints[1][j];
      command.target[j] = target[j];
    }
    safety_step(&filter_, now(), &reading, &command, is_late, false, &output_);
  }

  void look(const Record& record) {
    if (ticks_ < next_look_) return;
    PolicyThread::Sight sight;
    sight.look = record.index;
    franka_motion_look(&motion_, record.joints[0], record.joints[1], record.target, &sight.seen);
    policy_.show(sight);
    due_ = ticks_ + FRANKA_LATENCY_TICKS;
    next_look_ = ticks_ + FRANKA_PERIOD_TICKS;
  }

  Targets targets_;
  Log log_;
  PolicyThread policy_;
  franka_motion motion_{};
  safety_state filter_{};
  safety_output output_{};
  std::array<float, FRANKA_JOINTS> action_{};
  Joints action_position_{}, told_{};
  std::atomic<bool> is_stopping_{false};
  bool is_pending_ = false, is_late_ = false;
  int quiet_ = 0;
  uint64_t index_ = 0, ticks_ = 0, next_look_ = 0, due_ = 0, milliseconds_ = 0, slowest_ = 0;
  double reading_stamp_ = 0.0, command_stamp_ = 0.0;
};

// Refuses to go on unless the bundle's texts agree: its manifest names the policy that was compiled
// here; its verification passed, names this manifest, and the robot, limits and task (the manifest's
// parts) whose constants were compiled here. These are names that are compared, against a mix-up of
// bundles and programs. No file is hashed, so one that was edited afterwards does not show here:
// `jaxskills run franka` hashes every file before it compiles them, and is the way to be sure.
inline void require_verification(const std::string& bundle) {
  const auto read = [&bundle](const char* name) {
    std::ifstream file(bundle + "/" + name);
    std::stringstream text;
    text << file.rdbuf();
    if (!file) throw std::runtime_error(bundle + " has no " + name + "; run 'jaxskills verify'.");
    return text.str();
  };
  const auto value = [](const std::string& text, const std::string& key) {
    const size_t at = text.find("\"" + key + "\":");
    const size_t from = at == std::string::npos ? at : text.find_first_not_of(" ", at + key.size() + 3);
    if (from == std::string::npos) return std::string();
    return text.substr(from, text.find_first_of(",\n}", from) - from);
  };
  const std::string manifest = read("manifest.json"), verification = read("verification.json");
  const std::string said = value(manifest, "manifest_sha256");
  if (value(manifest, "parameters_sha256") != "\"" FRANKA_PARAMETERS_SHA256 "\"")
    throw std::runtime_error(bundle + " holds another policy than was compiled; compile it again.");
  if (said.empty() || value(verification, "manifest_sha256") != said ||
      value(verification, "passed") != "true")
    throw std::runtime_error(bundle + ": verification.json does not say that this manifest passed; "
                             "run 'jaxskills verify'.");
  if (value(verification, "parts_sha256") != "\"" FRANKA_PARTS_SHA256 "\"")
    throw std::runtime_error(bundle + " was verified with another robot, limits or task than were "
                             "compiled; compile it again.");
}

}  // namespace jaxskills
