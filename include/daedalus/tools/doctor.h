// `daedalus doctor`: what this host offers, and what to do about the rest.
#pragma once

namespace daedalus::tools {

struct DoctorOptions {
    /// Only opens $DAEDALUS_NODE and asks for its capabilities: what the self-test runs under `daedalus run`.
    bool probe = false;
};

/// Prints a table to stdout. Returns 0 if `daedalus run` works.
[[nodiscard]] int doctorMain(const DoctorOptions& options);

}  // namespace daedalus::tools
