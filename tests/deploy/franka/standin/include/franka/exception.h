// A stand-in for libfranka's exceptions: the same names, ours inside.
#pragma once

#include <stdexcept>

namespace franka {

struct Exception : public std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct NetworkException : public Exception {
  using Exception::Exception;
};
struct ControlException : public Exception {
  using Exception::Exception;
};
struct CommandException : public Exception {
  using Exception::Exception;
};
struct RealtimeException : public Exception {
  using Exception::Exception;
};
struct InvalidOperationException : public Exception {
  using Exception::Exception;
};

}  // namespace franka
