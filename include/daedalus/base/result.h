// Errors as values: every call that can fail returns a Result, whose error is an errno of the kernel's V4L2 core.
#pragma once

#include <cerrno>
#include <tl/expected.hpp>

namespace daedalus {

/// An errno value (positive, never 0). Its own type, so that it is never mistaken for a count or an fd.
struct Errno {
    int value = EIO;
    friend bool operator==(const Errno&, const Errno&) = default;
};

/// A value of T, or the errno that explains why there is none.
template <class T = void>
using Result = tl::expected<T, Errno>;

/// Builds the failing half of a Result: `return fail(EINVAL);`.
[[nodiscard]] inline tl::unexpected<Errno> fail(int errnoValue) { return tl::unexpected<Errno>(Errno{errnoValue}); }
[[nodiscard]] inline tl::unexpected<Errno> fail(Errno error) { return tl::unexpected<Errno>(error); }

}  // namespace daedalus
