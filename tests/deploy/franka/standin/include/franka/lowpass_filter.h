// A stand-in for libfranka's constants of this header.
#pragma once

namespace franka {

constexpr double kMaxCutoffFrequency = 1000.0;
constexpr double kDefaultCutoffFrequency = 100.0;

}  // namespace franka
