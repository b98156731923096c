// The stand-in's inside: packets of a fixed layout to and from `jaxskills.deploy.franka.wire`.
#include <franka/exception.h>
#include <franka/robot.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace franka {
namespace {

constexpr uint32_t kMagic = 0x4a535031;
constexpr int kDefaultPort = 45211;
enum Request : uint32_t { kHello = 0, kStart = 1, kMove = 2, kFinish = 3, kRecover = 4, kBye = 5 };
enum Answer : uint32_t { kState = 0, kWelcome = 1, kRefused = 2 };

struct Command {
  uint32_t magic;
  uint32_t kind;
  uint64_t tick;
  double q[7];
};

struct Packet {
  uint32_t magic;
  uint32_t kind;
  uint64_t tick;
  uint64_t milliseconds;
  uint64_t mode;
  double success_rate;
  double q[7], dq[7], q_d[7], dq_d[7], ddq_d[7];
  char reflex[64];
};

}  // namespace

class Robot::Connection {
 public:
  explicit Connection(const std::string& address) {
    const size_t colon = address.find(':');
    sockaddr_in place{};
    place.sin_family = AF_INET;
    const int port = colon == std::string::npos ? kDefaultPort : std::stoi(address.substr(colon + 1));
    place.sin_port = htons(static_cast<uint16_t>(port));
    if (inet_pton(AF_INET, address.substr(0, colon).c_str(), &place.sin_addr) != 1)
      throw NetworkException("libfranka: Connection error: no such host");
    socket_ = socket(AF_INET, SOCK_DGRAM, 0);
    const timeval wait{1, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    Packet answer;
    if (connect(socket_, reinterpret_cast<sockaddr*>(&place), sizeof place) != 0 ||
        !ask(kHello, 0, nullptr) || !next(&answer)) {
      close(socket_);
      throw NetworkException("libfranka: Connection timeout");
    }
    if (answer.kind == kRefused) {
      close(socket_);
      throw NetworkException("libfranka: Connection to FCI refused. Is another client connected?");
    }
  }
  ~Connection() {
    ask(kBye, 0, nullptr);
    close(socket_);
  }

  bool ask(Request kind, uint64_t tick, const double* q) {
    Command command{kMagic, kind, tick, {}};
    if (q != nullptr) std::memcpy(command.q, q, sizeof command.q);
    return send(socket_, &command, sizeof command, 0) == sizeof command;
  }
  bool next(Packet* packet) {
    return recv(socket_, packet, sizeof *packet, 0) == sizeof *packet && packet->magic == kMagic;
  }
  RobotState state(Packet* packet) {
    do {
      if (!next(packet)) throw NetworkException("libfranka: UDP receive: Timeout");
    } while (packet->kind != kState);
    RobotState state;
    std::memcpy(state.q.data(), packet->q, sizeof packet->q);
    std::memcpy(state.dq.data(), packet->dq, sizeof packet->dq);
    std::memcpy(state.q_d.data(), packet->q_d, sizeof packet->q_d);
    std::memcpy(state.dq_d.data(), packet->dq_d, sizeof packet->dq_d);
    std::memcpy(state.ddq_d.data(), packet->ddq_d, sizeof packet->ddq_d);
    state.control_command_success_rate = packet->success_rate;
    state.robot_mode = static_cast<RobotMode>(packet->mode);
    state.time = Duration(packet->milliseconds);
    return state;
  }

 private:
  int socket_ = -1;
};

Robot::Robot(const std::string& franka_address, RealtimeConfig, size_t)
    : connection_(std::make_unique<Connection>(franka_address)) {}
Robot::~Robot() noexcept = default;

void Robot::control(std::function<JointPositions(const RobotState&, Duration)> callback,
                    ControllerMode, bool limit_rate, double cutoff_frequency) {
  if (limit_rate || cutoff_frequency < kMaxCutoffFrequency)
    throw InvalidOperationException("the stand-in neither limits rates nor filters");
  Packet packet;
  RobotState state = connection_->state(&packet);
  if (state.robot_mode != RobotMode::kIdle)
    throw ControlException("libfranka: Move command rejected: command not possible in the current mode!");
  connection_->ask(kStart, 0, nullptr);
  bool is_first = true;
  uint64_t last = 0;
  for (;;) {
    state = connection_->state(&packet);
    if (state.robot_mode == RobotMode::kReflex)
      throw ControlException("libfranka: Move command aborted: motion aborted by reflex! [\"" +
                             std::string(packet.reflex) + "\"]");
    if (state.robot_mode != RobotMode::kMove) continue;
    const uint64_t now = packet.milliseconds;
    const JointPositions command = callback(state, Duration(is_first ? 0 : now - last));
    for (const double q : command.q)
      if (!std::isfinite(q)) throw std::invalid_argument("Commanding value is infinite or NaN.");
    is_first = false;
    last = now;
    connection_->ask(command.motion_finished ? kFinish : kMove, packet.tick, command.q.data());
    if (!command.motion_finished) continue;
    while (state.robot_mode == RobotMode::kMove) {
      connection_->ask(kFinish, packet.tick, command.q.data());
      state = connection_->state(&packet);
    }
    if (state.robot_mode == RobotMode::kReflex)
      throw ControlException("libfranka: Move command aborted: motion aborted by reflex! [\"" +
                             std::string(packet.reflex) + "\"]");
    return;
  }
}

RobotState Robot::readOnce() {
  Packet packet;
  return connection_->state(&packet);
}

void Robot::automaticErrorRecovery() { connection_->ask(kRecover, 0, nullptr); }
void Robot::stop() {}
void Robot::setJointImpedance(const std::array<double, 7>&) {}
void Robot::setCollisionBehavior(const std::array<double, 7>&, const std::array<double, 7>&,
                                 const std::array<double, 7>&, const std::array<double, 7>&,
                                 const std::array<double, 6>&, const std::array<double, 6>&,
                                 const std::array<double, 6>&, const std::array<double, 6>&) {}

}  // namespace franka
