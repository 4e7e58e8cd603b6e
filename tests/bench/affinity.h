// On which CPUs a process runs.
#pragma once

#include <sched.h>

#include <vector>

namespace daedalus::bench {

/// The CPUs that this thread may run on, in the kernel's numbers.
[[nodiscard]] inline std::vector<unsigned> allowedCpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<unsigned> cpus;
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    return cpus;
}

/// Keeps this thread, and what it starts from now on, on one CPU. False: errno says why not.
[[nodiscard]] inline bool stayOn(unsigned cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

}  // namespace daedalus::bench
