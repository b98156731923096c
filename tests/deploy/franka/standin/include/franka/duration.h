// A stand-in for libfranka's class of this name: the same interface, ours inside.
#pragma once

#include <cstdint>

namespace franka {

class Duration {
 public:
  Duration() noexcept = default;
  explicit Duration(uint64_t milliseconds) noexcept : milliseconds_(milliseconds) {}
  double toSec() const noexcept { return static_cast<double>(milliseconds_) / 1000.0; }
  uint64_t toMSec() const noexcept { return milliseconds_; }

 private:
  uint64_t milliseconds_ = 0;
};

}  // namespace franka
